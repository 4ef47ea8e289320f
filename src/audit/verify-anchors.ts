import { type Anchor, type AnchorSeal, anchorDigest } from './anchor.ts'
import type { Damage } from './verify-links.ts'

/** What is known after the anchors so far. */
export interface AnchorReport {
  /** Of each chain the last position that an anchor and the chain agree on. */
  attested: Map<string, number>
  /** Of each chain the last position that an anchor names. */
  named: Map<string, number>
  digests: Map<number, string>
  macsChecked: number
}

export function newAnchorReport(): AnchorReport {
  return { attested: new Map(), named: new Map(), digests: new Map(), macsChecked: 0 }
}

interface Attest {
  keyId: string
  attest(digest: Buffer): Buffer
}

/** Holds one anchor against the one before and the chains; `hashes` are theirs at its heads. */
export function judgeAnchor(
  anchor: Anchor,
  before: Anchor | undefined,
  hashes: ReadonlyMap<string, string>,
  attest: Attest | undefined,
  report: AnchorReport,
): Damage[] {
  const damages = [...ownFaults(anchor, before, attest, report)].map(ofInstallation)
  for (const [tenantId, position, hash] of anchor.heads) {
    report.named.set(tenantId, position)
    const found = hashes.get(tenantId)
    const agreed = report.attested.get(tenantId) ?? 0
    if (found === hash) {
      report.attested.set(tenantId, position)
      continue
    }
    // Once contradicted, a chain is contradicted by all later anchors: the first tells where.
    if (agreed === Number.POSITIVE_INFINITY) continue
    report.attested.set(tenantId, Number.POSITIVE_INFINITY)
    const what =
      found === undefined
        ? `the chain was cut: anchor ${anchor.number} knows it up to position ${position}`
        : `the chain was made anew behind position ${agreed}: anchor ${anchor.number} knows another`
    damages.push({ tenantId, position: found === undefined ? position : agreed + 1, what })
  }
  return damages
}

function* ownFaults(
  anchor: Anchor,
  before: Anchor | undefined,
  attest: Attest | undefined,
  report: AnchorReport,
): Generator<string> {
  const { number, previousDigest, digest, anchoredAt, keyId, mac } = anchor
  report.digests.set(number, digest.toString('hex'))
  const expected = (before?.number ?? 0) + 1
  if (number !== expected) yield `anchors ${expected} to ${number - 1} are gone`
  else if (before ? !previousDigest?.equals(before.digest) : previousDigest !== null) {
    yield `anchor ${number} does not follow from the one before`
  }
  if (before && anchoredAt < before.anchoredAt)
    yield `anchor ${number} is older than the one before`
  if (!anchorDigest(anchor).equals(digest)) yield `anchor ${number} was edited`
  if (attest === undefined) return
  report.macsChecked += 1
  if (keyId !== attest.keyId) yield `anchor ${number} was made under another master key, ${keyId}`
  else if (!attest.attest(digest).equals(mac)) yield `anchor ${number} is forged: its mac is wrong`
}

/** What the head of a chain knows of anchors is what the anchors know of it. */
export function judgeAnchored(
  tenantId: string,
  anchoredPosition: number,
  { named }: AnchorReport,
): Damage[] {
  const last = named.get(tenantId) ?? 0
  if (anchoredPosition === last) return []
  const what = `it was anchored up to position ${anchoredPosition}, but the anchors know ${last}`
  return [{ tenantId, position: last + 1, what }]
}

/** Holds the anchors that were kept elsewhere against those of the database. */
export function judgeKept(
  kept: readonly Pick<AnchorSeal, 'number' | 'digest'>[],
  { digests }: AnchorReport,
): Damage[] {
  const last = Math.max(0, ...digests.keys())
  return kept
    .flatMap(({ number, digest }) => {
      const found = digests.get(number)
      if (found === digest.toString('hex')) return []
      if (found !== undefined) {
        return [`anchor ${number} is not the one that was kept: the audit was made anew`]
      }
      return number > last
        ? [`anchor ${number} is kept, but the last here is ${last}: this is an older copy, or cut`]
        : [`anchor ${number} is kept, but gone from here`]
    })
    .map(ofInstallation)
}

function ofInstallation(what: string): Damage {
  return { tenantId: undefined, position: undefined, what }
}
