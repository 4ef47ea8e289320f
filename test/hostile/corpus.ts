import { bodies } from './corpus/bodies.ts'
import { headers, keys } from './corpus/headers.ts'
import { parameters } from './corpus/parameters.ts'
import { receivers } from './corpus/receivers.ts'
import { sockets } from './corpus/sockets.ts'
import { ids, methods, urls } from './corpus/urls.ts'
import type { Hostile } from './wire.ts'

/** Who is attacked, and with what in hand. */
export interface Target {
  key: string
  operatorKey: string
  clientId: string
  cursor: string
  foreignCursor: string
}

/** Everything hostile that we know how to say, each under a name of its own. */
export function corpusFor(target: Target): Hostile[] {
  const keyOf = ({ scopes }: { scopes: readonly string[] | null }): string =>
    scopes?.some((scope) => /^(operators|organizations):/.test(scope))
      ? target.operatorKey
      : target.key
  const all = { ...target, keyOf }
  return [
    ...sockets(all),
    ...headers(all),
    ...keys(all),
    ...urls(all),
    ...ids(all),
    ...methods(all),
    ...parameters(all),
    ...bodies(all),
    ...receivers(all),
  ]
}
