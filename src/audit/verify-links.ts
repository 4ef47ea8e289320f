import { auditForm, type ChainedEntry, linkHash } from './chain.ts'

/** Something that is not as it was written. */
export interface Damage {
  /** undefined: of the whole installation. */
  tenantId: string | undefined
  position: number | undefined
  what: string
}

/** A link with its entry, which is null where that is gone. */
export interface ReadLink {
  position: number
  auditId: string
  createdOn: string
  form: number
  hash: Buffer
  entry: ChainedEntry | null
}

export interface ChainEnd {
  position: number
  hash: Buffer
}

export interface JudgedLinks {
  /** The first damage among these links. */
  damage: Damage | undefined
  entries: number
  /** Links whose entries are older than entries are kept. */
  dropped: number
  end: ChainEnd
}

/**
 * Holds the next links of a chain against their entries. Behind a damage it goes on from the hash that
 * is stored, so that each place is judged by itself.
 */
export function judgeLinks(
  tenantId: string,
  start: ChainEnd,
  links: readonly ReadLink[],
  firstKeptDay: string,
): JudgedLinks {
  const judged: JudgedLinks = { damage: undefined, entries: 0, dropped: 0, end: start }
  for (const [at, link] of links.entries()) {
    if (link.entry) judged.entries += 1
    else if (link.createdOn < firstKeptDay) judged.dropped += 1
    const what = faultOf(judged.end, links, at, firstKeptDay)
    if (what) judged.damage ??= { tenantId, position: judged.end.position + 1, what }
    judged.end = { position: link.position, hash: link.hash }
  }
  return judged
}

function faultOf(
  before: ChainEnd,
  links: readonly ReadLink[],
  at: number,
  firstKeptDay: string,
): string | undefined {
  const link = links[at]
  if (link === undefined) return undefined
  const { position, auditId, createdOn, form, hash, entry } = link
  const missing = position - before.position - 1
  if (missing > 0) return `links ${before.position + 1} to ${position - 1} are gone`
  if (form !== auditForm) return `the link is of form ${form}, which this program does not know`
  if (entry === null) {
    return createdOn < firstKeptDay ? undefined : `entry ${auditId} is gone`
  }
  if (linkHash(before.hash, entry).equals(hash)) return undefined
  const other = links.find((one, index) => index !== at && belongsAt(before.hash, one, hash))
  return other
    ? `the order was changed: what belongs here stands at position ${other.position}`
    : `entry ${auditId} or its link was edited`
}

/** Whether a link, or its entry under the hash that stands here, is what was chained here. */
function belongsAt(previous: Buffer, { entry, hash }: ReadLink, hashHere: Buffer): boolean {
  if (entry === null) return false
  const wanted = linkHash(previous, entry)
  return wanted.equals(hash) || wanted.equals(hashHere)
}
