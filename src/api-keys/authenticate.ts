import { hash } from 'node:crypto'
import type { Context } from '#context.ts'
import type { Authenticate } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { followChanges } from './follow.ts'
import { findVerified } from './principal.sql.ts'
import { createTally } from './tally.ts'
import { problemOfRefusal, refusalOf, type Verified } from './verified.ts'
import { runWriter } from './writer.ts'

/**
 * Verified secrets are cached, and every process follows one stream of key changes: a revocation
 * is effective everywhere within a poll, and a process that cannot follow uses no cached key. What
 * keys do, and are refused, is added up in memory and written down beside the calls.
 */
const cachedMax = 10_000

/** What is announced in the stream of changes when this may not be used any more. */
function namesOf({ tenantId, key, serviceAccount }: Verified): string[] {
  return [tenantId, key.id, ...(serviceAccount ? [serviceAccount.id] : [])]
}

export interface Authenticator {
  /**
   * Throws `unauthorized`, `key_expired`, `key_revoked`, `key_disabled`, `ip_not_allowed`. Junk
   * costs no query.
   */
  authenticate: Authenticate
  /** Writes down what was added up. */
  stop(): Promise<void>
}

export function createAuthenticator(ctx: Context): Authenticator {
  const cache = new Map<string, Verified>()
  const tally = createTally()
  const writer = runWriter(ctx, tally)
  const changes = followChanges(ctx, (ids) => {
    for (const [digest, verified] of cache) {
      if (ids === 'all' || namesOf(verified).some((id) => ids.has(id))) cache.delete(digest)
    }
  })

  async function lookUp(secret: string, digest: string): Promise<Verified> {
    const token = ctx.secrets.readApiKey(secret)
    if (token === undefined) throw problem('unauthorized')
    const seen = changes.position()
    const verified = await findVerified(ctx, token.hash)
    if (verified === undefined) throw problem('unauthorized')
    // A change that came between the read and now would be cached as if it had not happened.
    if (changes.isCurrent() && changes.position() === seen) {
      cache.set(digest, verified)
      if (cache.size > cachedMax) cache.delete(cache.keys().next().value ?? digest)
    }
    return verified
  }

  return {
    async authenticate({ secret, operationId, ip, now, isRepeated = false }) {
      // Quicker than our keyed digest; that a cached one is found shows that its secret was verified.
      const digest = hash('sha256', secret, 'base64')
      const cached = changes.isCurrent() ? cache.get(digest) : undefined
      const verified = cached ?? (await lookUp(secret, digest))
      const { tenantId, secretExpiresAt } = verified
      const keyId = verified.key.id
      const refusal = refusalOf(verified, ip, now)
      if (refusal !== undefined) {
        if (!isRepeated) tally.refuse({ tenantId, keyId, kind: refusal, now, ip })
        throw problemOfRefusal(refusal, verified, ip)
      }
      const isPreviousSecret = secretExpiresAt !== null
      if (!isRepeated) tally.use({ tenantId, keyId, operationId, now, ip, isPreviousSecret })
      return verified
    },
    async stop() {
      changes.stop()
      await writer.stop()
    },
  }
}
