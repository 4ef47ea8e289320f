import { createHash } from 'node:crypto'
import type { AuditAnchorInfo } from '#generated/types.ts'
import { canonicalJson } from './chain.ts'

/**
 * An *anchor* is the state of all chains at one moment in one hash: over its number, its time, the
 * digest of the anchor before, and the heads of the chains that grew since then. Through those before
 * it, it stands for all heads. Its `mac` shows that it was made by who has the master key, which is
 * not in the database; a copy kept elsewhere shows whether the database is an older one.
 */
export interface Anchor extends AnchorSeal {
  heads: readonly AnchoredHead[]
}

/** What is shown of an anchor, and kept elsewhere. */
export interface AnchorSeal {
  number: number
  anchoredAt: Date
  previousDigest: Buffer | null
  digest: Buffer
  keyId: string
  mac: Buffer
}

/** Tenant, position, and the hash there in hex; in the order of the tenants. */
export type AnchoredHead = readonly [tenantId: string, position: number, hash: string]

export const anchorForm = 1

export function anchorDigest(
  anchor: Pick<Anchor, 'number' | 'anchoredAt' | 'previousDigest' | 'heads'>,
): Buffer {
  const text = canonicalJson({
    form: anchorForm,
    number: anchor.number,
    anchoredAt: anchor.anchoredAt.toISOString(),
    previousDigest: anchor.previousDigest?.toString('hex') ?? null,
    heads: anchor.heads,
  })
  return createHash('sha256').update(text, 'utf8').digest()
}

export function toAnchor(anchor: AnchorSeal & { headCount: number }): AuditAnchorInfo {
  return {
    number: anchor.number,
    anchoredAt: anchor.anchoredAt.toISOString(),
    previousDigest: anchor.previousDigest?.toString('hex') ?? null,
    digest: anchor.digest.toString('hex'),
    keyId: anchor.keyId,
    mac: anchor.mac.toString('hex'),
    tenantCount: anchor.headCount,
  }
}
