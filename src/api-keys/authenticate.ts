import type { Context } from '#context.ts'
import type { Scope } from '#generated/routes.ts'
import type { Principal } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { type Id, tenantId } from '#ids.ts'
import { findPrincipal } from './api-key.sql.ts'
import { statusOf } from './api-key.ts'

/**
 * Verified secrets are cached, and every process follows one stream of key changes: a revocation
 * is effective everywhere within a poll, and a process that cannot follow uses no cached key.
 */
const pollEveryMs = 250
const staleAfterMs = 1_000
const cachedMax = 10_000
/** A process that finds as many is behind, and reads on before it uses its cache. */
const changesPerPoll = 1_000

interface Verified extends Principal {
  revokedAt: Date | null
  /** The end of the overlap of a secret that was rotated out. */
  secretExpiresAt: Date | null
}

export interface Authenticator {
  /** Throws `unauthorized`, `key_expired`, `key_revoked`. Junk costs no query. */
  authenticate(secret: string, now: Date): Promise<Principal>
  stop(): void
}

export function createAuthenticator(ctx: Context): Authenticator {
  const cache = new Map<string, Verified>()
  const changes = followChanges(ctx, (keyIds) => {
    for (const [hash, { tenantId, key }] of cache) {
      if (keyIds === 'all' || keyIds.has(key.id) || keyIds.has(tenantId)) cache.delete(hash)
    }
  })

  async function lookUp(hash: Buffer, name: string): Promise<Verified> {
    const seen = changes.position()
    const verified = await findVerified(ctx, hash)
    // A change that came between the read and now would be cached as if it had not happened.
    if (changes.isCurrent() && changes.position() === seen) {
      cache.set(name, verified)
      if (cache.size > cachedMax) cache.delete(cache.keys().next().value ?? name)
    }
    return verified
  }

  return {
    async authenticate(secret, now) {
      const token = ctx.secrets.readApiKey(secret)
      if (token === undefined) throw problem('unauthorized')
      const name = token.hash.toString('latin1')
      const cached = changes.isCurrent() ? cache.get(name) : undefined
      const verified = cached ?? (await lookUp(token.hash, name))
      requireValid(verified, now)
      return verified
    },
    stop: changes.stop,
  }
}

async function findVerified(ctx: Context, hash: Buffer): Promise<Verified> {
  const [indexed] = await ctx.db.readers.query<{
    tenant_id: string
    api_key_id: string
    expires_at: Date | null
  }>('select * from ubos_find_key($1)', [hash])
  if (indexed === undefined) throw problem('unauthorized')
  const tenant = tenantId(indexed.tenant_id)
  const row = await findPrincipal(ctx.db.readers.of(tenant), tenant, indexed.api_key_id)
  if (row === undefined) throw problem('unauthorized')
  return {
    tenantId: tenant,
    organizationId: row.organization_id as Id<'org'>,
    environment: row.environment as Principal['environment'],
    key: {
      id: row.id as Id<'key'>,
      name: row.name,
      prefix: row.prefix,
      scopes: row.scopes as Scope[],
      expiresAt: row.expires_at,
    },
    limits: row.overrides as Principal['limits'],
    revokedAt: row.revoked_at,
    secretExpiresAt: indexed.expires_at,
  }
}

function requireValid(verified: Verified, now: Date): void {
  const { key, revokedAt, secretExpiresAt } = verified
  const status = statusOf({ expiresAt: key.expiresAt, revokedAt }, now)
  if (status === 'REVOKED') throw problem('key_revoked', { principal: verified })
  if (status === 'EXPIRED') throw problem('key_expired', { principal: verified })
  if (secretExpiresAt !== null && secretExpiresAt <= now) {
    throw problem('key_expired', {
      detail: 'This secret was rotated out, and its overlap is over.',
      principal: verified,
    })
  }
}

/** Polls the changes of all keys; `forget` is told which keys, or tenants, changed. */
function followChanges(
  { db, log }: Context,
  forget: (keyIds: ReadonlySet<string> | 'all') => void,
) {
  let position = -1
  let currentUntilMs = 0
  let isStopped = false
  let timer: NodeJS.Timeout | undefined

  /** Reads on, and forgets what changed; answers whether there is more to read. */
  async function readOn(): Promise<boolean> {
    // The head comes last: where it is further on than the changes, some of them were pruned.
    const rows = await db.readers.query<{ position: string; api_key_id: string | null }>(
      `select position, api_key_id from key_change where position > $1
       union all select position, null from key_change_head where position > $1
       order by position, api_key_id nulls last limit $2`,
      [position, changesPerPoll],
    )
    const changed = new Set<string>()
    let hasGap = false
    for (const row of rows) {
      const expected = row.api_key_id === null ? position : position + 1
      hasGap ||= Number(row.position) !== expected
      position = Number(row.position)
      if (row.api_key_id !== null) changed.add(row.api_key_id)
    }
    if (hasGap) forget('all')
    else if (changed.size > 0) forget(changed)
    return rows.length === changesPerPoll
  }

  async function poll(): Promise<void> {
    const startedMs = performance.now()
    let isBehind = false
    try {
      isBehind = await readOn()
      if (!isBehind) currentUntilMs = startedMs + staleAfterMs
    } catch (error) {
      log.warn({ err: error }, 'key changes could not be read')
    }
    if (!isStopped) timer = setTimeout(poll, isBehind ? 0 : pollEveryMs)
  }
  void poll()

  return {
    position: () => position,
    isCurrent: () => performance.now() < currentUntilMs,
    stop() {
      isStopped = true
      clearTimeout(timer)
    },
  }
}
