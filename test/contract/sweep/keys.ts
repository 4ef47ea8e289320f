import { type Scope, scopes } from '#generated/routes.ts'
import type { ProblemCode } from '#generated/types.ts'
import { covers } from '#http/scopes.ts'
import { until } from '../../db/fixture.ts'
import type { Cast } from './cast.ts'

/** Keys that open nothing, or not everything. */
export interface WrongKeys {
  /** By what is wrong with them, and the code that says so. Each has one harmless scope. */
  refused: readonly { what: string; key: string | null; code: ProblemCode }[]
  revoked: string
  /** A key with every scope that a tenant's key can have, but for this one. */
  without(scope: Scope): Promise<string>
}

/** Scopes that a tenant's key can have. */
export const scopesOfTenants = scopes.filter((scope) => scope !== '*' && covers(['*'], scope))

/** Makes them in our tenant; steps the clock past the end of one. */
export async function makeWrongKeys({ world, ours }: Cast): Promise<WrongKeys> {
  const api = world.callsWith(ours.keys[0] ?? '')
  async function make(name: string, scopes: readonly Scope[], expiresAt?: Date) {
    const body = { name, scopes, ...(expiresAt ? { expiresAt: expiresAt.toISOString() } : {}) }
    const reply = await api.post('/api/v1/api-keys', body)
    if (reply.status !== 201) throw new Error(JSON.stringify(reply.body))
    return reply.body as { id: string; key: string }
  }
  const lifeMs = 60_000
  const harmless = scopesOfTenants.slice(0, 1)
  const expired = await make('Expired', harmless, new Date(Date.now() + lifeMs))
  const revoked = await make('Revoked', harmless)
  await api.post(`/api/v1/api-keys/${revoked.id}/revocation`)
  world.step(lifeMs + 1_000)
  const statusOf = async (key: string) => (await world.callsWith(key).get('/api/v1/me')).status
  await until(async () => (await statusOf(revoked.key)) === 401)

  const made = new Map<Scope, string>()
  return {
    revoked: revoked.key,
    refused: [
      { what: 'no key', key: null, code: 'unauthorized' },
      { what: 'junk', key: 'junk', code: 'unauthorized' },
      { what: 'a changed key', key: changed(revoked.key), code: 'unauthorized' },
      { what: 'an expired key', key: expired.key, code: 'key_expired' },
      { what: 'a revoked key', key: revoked.key, code: 'key_revoked' },
    ],
    async without(scope) {
      const others = scopesOfTenants.filter((one) => one !== scope)
      const key = made.get(scope) ?? (await make(`All but ${scope}`, others)).key
      made.set(scope, key)
      return key
    },
  }
}

function changed(key: string): string {
  const at = key.length - 12
  return key.slice(0, at) + (key[at] === 'A' ? 'B' : 'A') + key.slice(at + 1)
}
