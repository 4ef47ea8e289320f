import type { Principal } from '#http/operation.ts'
import { type Problem, problem } from '#http/problem.ts'
import { matcherOf } from './allow-list.ts'
import { type KeyAccount, statusOf } from './api-key.ts'

/** A key whose secret was shown and found, with all that decides whether it opens the door. */
export interface Verified extends Principal {
  readonly serviceAccount: KeyAccount | null
  readonly revokedAt: Date | null
  /** The end of the overlap of a secret that was rotated out; null for the present one. */
  readonly secretExpiresAt: Date | null
  /** Whether the key may be used from an address: its allow-list, parsed once. */
  readonly allows: (ip: string | null) => boolean
}

/** Why a key that exists did not open the door. */
export type Refusal =
  | 'KEY_REFUSED_REVOKED'
  | 'KEY_REFUSED_EXPIRED'
  | 'KEY_REFUSED_DISABLED'
  | 'KEY_REFUSED_ROTATED'
  | 'KEY_REFUSED_IP'

export function verifiedOf(found: Omit<Verified, 'allows'>): Verified {
  return { ...found, allows: matcherOf(found.key.allowedIps) }
}

/** Why the key does not open the door to `ip` now; undefined when it does. */
export function refusalOf(verified: Verified, ip: string | null, now: Date): Refusal | undefined {
  const { key, serviceAccount, revokedAt, secretExpiresAt, allows } = verified
  const status = statusOf({ expiresAt: key.expiresAt, revokedAt, serviceAccount }, now)
  if (status !== 'ACTIVE') return `KEY_REFUSED_${status}`
  if (secretExpiresAt !== null && secretExpiresAt <= now) return 'KEY_REFUSED_ROTATED'
  return allows(ip) ? undefined : 'KEY_REFUSED_IP'
}

/** What the caller is told, and whose key it was, for the audit. */
export function problemOfRefusal(
  refusal: Refusal,
  principal: Verified,
  ip: string | null,
): Problem {
  switch (refusal) {
    case 'KEY_REFUSED_REVOKED':
      return problem('key_revoked', { principal })
    case 'KEY_REFUSED_EXPIRED':
      return problem('key_expired', { principal })
    case 'KEY_REFUSED_DISABLED':
      return problem('key_disabled', { principal })
    case 'KEY_REFUSED_ROTATED':
      return problem('key_expired', {
        detail: 'This secret was rotated out, and its overlap is over.',
        principal,
      })
    case 'KEY_REFUSED_IP':
      return problem('ip_not_allowed', {
        detail: `The key may not be used from ${ip ?? 'an unknown address'}.`,
        principal,
      })
    default:
      return refusal satisfies never
  }
}
