import { problem } from './problem.ts'

/** The ETag of a revision. */
export function etagOf(revision: number): string {
  return `"${revision}"`
}

/**
 * Like `requireMatch`, where nobody may change what they have not seen: a missing `If-Match` is
 * `precondition_required`.
 */
export function demandMatch(ifMatch: string | undefined, revision: number): void {
  if (ifMatch === undefined) {
    throw problem('precondition_required', {
      detail: 'Send the ETag of the revision that you have seen as If-Match.',
      errors: [{ header: 'If-Match', code: 'required', message: 'is required' }],
    })
  }
  requireMatch(ifMatch, revision)
}

/**
 * Holds a thing's revision against `If-Match` (RFC 9110 §13.1.1); throws `precondition_failed`.
 * A weak tag never matches, since a change needs the strong one.
 */
export function requireMatch(ifMatch: string | undefined, revision: number): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return
  const tags = ifMatch.split(',').map((tag) => tag.trim())
  if (tags.includes(etagOf(revision))) return
  throw problem('precondition_failed', {
    detail: `The revision is ${revision}, not ${ifMatch}. Read it again, then repeat the change.`,
    errors: [{ header: 'If-Match', code: 'stale', message: `must be ${etagOf(revision)}` }],
  })
}

/** Whether the caller has seen this state by `If-None-Match` (RFC 9110 §13.1.2), weak tags too. */
export function isSeen(ifNoneMatch: string | undefined, etag: string | undefined): boolean {
  if (ifNoneMatch === undefined || etag === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
