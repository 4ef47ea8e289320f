import type { Principal } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { operatorTenantId } from '#ids.ts'
import { type AllowList, readRange } from './allow-list.ts'
import type { ApiKey } from './api-key.ts'

/** The kind of the keys that are made in a tenant: their secrets begin with it. */
export function kindOf({
  tenantId,
  environment,
}: Pick<Principal, 'tenantId' | 'environment'>): 'live' | 'test' | 'op' {
  if (tenantId === operatorTenantId) return 'op'
  return environment === 'PRODUCTION' ? 'live' : 'test'
}

/** The list in canonical form; throws `invalid_request`, which names each entry that is none. */
export function canonicalIps(entries: readonly string[] | null | undefined): AllowList {
  const read = (entries ?? []).map(readRange)
  const errors = read.flatMap((verdict, at) =>
    verdict.ok
      ? []
      : [{ pointer: `/allowedIps/${at}`, code: 'not_a_range', message: verdict.reason }],
  )
  const [first] = errors
  if (first) {
    const detail = `${first.pointer} ${first.message}.`
    throw problem('invalid_request', { detail, errors })
  }
  return [...new Set(read.flatMap((verdict) => (verdict.ok ? [verdict.text] : [])))]
}

export function requireFuture(now: Date, expiresAt: string | null | undefined): void {
  if (!expiresAt || new Date(expiresAt) > now) return
  throw problem('invalid_request', {
    detail: 'expiresAt must be in the future.',
    errors: [{ pointer: '/expiresAt', code: 'out_of_range', message: 'must be in the future' }],
  })
}

export function requireUnrevoked(key: ApiKey): void {
  if (key.revokedAt === null) return
  throw problem('invalid_state', { detail: 'The key is revoked, and stays so.' })
}
