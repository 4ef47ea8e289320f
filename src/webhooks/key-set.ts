import type { WebhookKeySet, WebhookPublicKeys } from '#generated/types.ts'
import type { Id, TenantId } from '#ids.ts'

/**
 * By a *key pair* of the tenant webhooks are signed so that whoever has the public key can verify, and
 * nobody else can sign. The set is empty until an endpoint wants such signatures (`V1A`). The newest
 * pair has no end; the others sign until theirs, and are shown on, for what was signed by them.
 */
export interface KeyPair {
  readonly id: string
  /** 32 bytes in base64. */
  readonly publicKey: string
  /** The seed of the private key, sealed for `keyPairPlace`, in base64. */
  readonly sealed: string
  readonly createdAt: string
  readonly expiresAt: string | null
}

export interface KeySet {
  /** The oldest first. */
  readonly keys: readonly KeyPair[]
  readonly revision: number
}

export const emptyKeySet: KeySet = { keys: [], revision: 1 }

/** Each of them is a signature in every webhook. */
export const pairsMax = 10

/** So many are shown, former ones included. */
const shownMax = 20

export function keyPairPlace(tenantId: TenantId, id: string) {
  return { tenantId, table: 'webhook_key_set', rowId: id, column: 'keys' }
}

/** Whether a pair signs at a moment: its end is exclusive. */
export function signsStill({ expiresAt }: Pick<KeyPair, 'expiresAt'>, at: Date): boolean {
  return expiresAt === null || Date.parse(expiresAt) > at.getTime()
}

/** The set with a new pair; those before it sign until the end of the overlap at the latest. */
export function withNewPair(
  { keys, revision }: KeySet,
  fresh: { id: Id<'wsk'>; publicKey: string; sealed: Buffer },
  overlapMs: number,
  now: Date,
): KeySet {
  const end = new Date(now.getTime() + overlapMs).toISOString()
  const former = keys.map((pair) =>
    pair.expiresAt === null || pair.expiresAt > end ? { ...pair, expiresAt: end } : pair,
  )
  const newest = {
    ...{ id: fresh.id, publicKey: fresh.publicKey, sealed: fresh.sealed.toString('base64') },
    ...{ createdAt: now.toISOString(), expiresAt: null },
  }
  return { keys: [...former, newest].slice(-shownMax), revision: revision + 1 }
}

/** As a JWK Set (RFC 7517, RFC 8037), the newest first. */
export function toPublicKeys(pairs: readonly KeyPair[]): WebhookPublicKeys {
  return { keys: pairs.map(toJwk).reverse() }
}

/** The same for the tenant, with the address at which others read it. */
export function toKeySet(set: KeySet, tenantId: TenantId, publicUrl: string): WebhookKeySet {
  return { url: `${publicUrl}/jwks/${tenantId}`, ...toPublicKeys(set.keys), revision: set.revision }
}

function toJwk({ id, publicKey, createdAt, expiresAt }: KeyPair): WebhookKeySet['keys'][number] {
  return {
    kty: 'OKP',
    crv: 'Ed25519',
    x: Buffer.from(publicKey, 'base64').toString('base64url'),
    kid: id,
    use: 'sig',
    alg: 'EdDSA',
    encoded: `whpk_${publicKey}`,
    createdAt,
    expiresAt,
  }
}
