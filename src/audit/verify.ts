import type { Anchor, AnchorSeal } from './anchor.ts'
import { genesis } from './chain.ts'
import {
  eachAnchor,
  findHeadless,
  findHeads,
  findLostPending,
  findUnchained,
  type HeadRow,
  hashesAt,
  type Query,
  readLinks,
} from './verify.sql.ts'
import { judgeAnchor, judgeAnchored, judgeKept, newAnchorReport } from './verify-anchors.ts'
import { type ChainEnd, type Damage, judgeLinks } from './verify-links.ts'

/*
 * The verifier reads all that the audit is, in one snapshot, and believes nothing: it computes every
 * link and every anchor anew. It finds entries that were edited, removed, moved or slipped in, chains
 * that were cut, and chains that were made anew since an anchor. That a whole database is an older
 * copy only anchors that were kept elsewhere can show.
 */
export interface Verification {
  damages: Damage[]
  counted: { tenants: number; entries: number; dropped: number; pending: number; anchors: number }
  /** Of the anchors: whether their macs could be checked, and how many of them were. */
  macsChecked: number
}

export interface VerifyOptions {
  now: Date
  /** After so many days entries may be gone; their links stay. */
  keptDays: number
  /** Anchors that were kept elsewhere. */
  kept: readonly Pick<AnchorSeal, 'number' | 'digest'>[]
  /** What makes macs; undefined where the master key is not at hand. */
  attest: { keyId: string; attest(digest: Buffer): Buffer } | undefined
}

/** `query` reads one snapshot as one that sees all tenants. */
export async function verifyAudit(query: Query, options: VerifyOptions): Promise<Verification> {
  const dropDay = new Date(options.now.getTime() - options.keptDays * 86_400_000)
  const firstKeptDay = dropDay.toISOString().slice(0, 10)
  const found: Verification = {
    damages: [],
    counted: { tenants: 0, entries: 0, dropped: 0, pending: 0, anchors: 0 },
    macsChecked: 0,
  }
  const heads = await findHeads(query)
  for (const head of heads) await verifyChain(query, head, firstKeptDay, found)
  await verifyStrays(query, found)
  await verifyAnchors(query, heads, options, found)
  return found
}

async function verifyChain(
  query: Query,
  head: HeadRow,
  firstKeptDay: string,
  { damages, counted }: Verification,
): Promise<void> {
  const { tenantId } = head
  counted.tenants += 1
  let end: ChainEnd = { position: 0, hash: genesis }
  let first: Damage | undefined
  for (;;) {
    const links = await readLinks(query, tenantId, end.position)
    if (links.length === 0) break
    const judged = judgeLinks(tenantId, end, links, firstKeptDay)
    counted.entries += judged.entries
    counted.dropped += judged.dropped
    first ??= judged.damage
    end = judged.end
  }
  first ??= judgeEnd(head, end)
  if (first) damages.push(first)
}

/** The end of a chain is where its head says: otherwise it was cut, or the head was set back. */
function judgeEnd(head: HeadRow, end: ChainEnd): Damage | undefined {
  const { tenantId, position, hash } = head
  if (end.position < position) {
    const missing = position - end.position
    const what = `the chain was cut: its last ${missing} of ${position} links are gone`
    return { tenantId, position: end.position + 1, what }
  }
  if (end.position > position || !end.hash.equals(hash)) {
    const what = `the head of the chain was changed: it says ${position}`
    return { tenantId, position: end.position, what }
  }
  return undefined
}

/** What belongs to no chain, or to nothing. */
async function verifyStrays(query: Query, { damages, counted }: Verification): Promise<void> {
  for (const { tenantId, auditId } of await findUnchained(query)) {
    const what = `entry ${auditId} was inserted past the chain: no link and nothing pending names it`
    damages.push({ tenantId, position: undefined, what })
  }
  for (const { tenantId } of await findHeadless(query)) {
    damages.push({ tenantId, position: undefined, what: 'the head of the chain is gone' })
  }
  const pending = await findLostPending(query)
  counted.pending = pending.count
  for (const { tenantId, auditId } of pending.lost) {
    const what = `entry ${auditId} is gone: it was removed before it was chained`
    damages.push({ tenantId, position: undefined, what })
  }
}

async function verifyAnchors(
  query: Query,
  heads: readonly HeadRow[],
  { kept, attest }: VerifyOptions,
  found: Verification,
): Promise<void> {
  const report = newAnchorReport()
  let before: Anchor | undefined
  for await (const anchor of eachAnchor(query)) {
    const hashes = await hashesAt(query, anchor.heads)
    found.damages.push(...judgeAnchor(anchor, before, hashes, attest, report))
    found.counted.anchors += 1
    before = anchor
  }
  found.macsChecked = report.macsChecked
  for (const { tenantId, anchoredPosition } of heads) {
    found.damages.push(...judgeAnchored(tenantId, anchoredPosition, report))
  }
  found.damages.push(...judgeKept(kept, report))
}
