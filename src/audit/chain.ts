import { createHash } from 'node:crypto'

/**
 * The *chain* of a tenant is its audit entries in the order in which they became visible, each
 * *link* holding SHA-256(hash of the link before ‖ the entry's canonical bytes). Whoever changes,
 * removes, moves or slips in an entry breaks it from there on; whoever makes the rest of it anew
 * contradicts the *anchors*.
 *
 * The canonical bytes are, in UTF-8, the JSON of the entry's fields as below, `form` among them:
 * members sorted by name (by UTF-16 unit, at every depth), no blanks, strings and numbers as
 * `JSON.stringify` writes them, times in UTC with microseconds. They are made from what is read
 * from the row, never from how Postgres writes JSON, so that a version of it cannot change them.
 */
export const auditForm = 1

export interface ChainedEntry {
  tenantId: string
  id: string
  createdOn: string
  /** With microseconds: also a change below what a `Date` can hold is one. */
  occurredAt: string
  action: string
  resourceId: string | null
  actorType: string
  actorId: string
  requestId: string
  correlationId: string
  ip: string | null
  before: unknown
  after: unknown
  details: unknown
}

/** What stands before the first link. */
export const genesis = Buffer.alloc(32)

export function linkHash(previous: Buffer, entry: ChainedEntry): Buffer {
  const bytes = canonicalJson({ ...entry, form: auditForm })
  return createHash('sha256').update(previous).update(bytes, 'utf8').digest()
}

/** JSON with sorted members and without blanks: one value, one text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}
