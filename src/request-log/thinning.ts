import type { FinishedCall } from '#http/trail.ts'

/** Rows a minute that a process writes of what one key, or everybody without one, was refused. */
export const refusedRowsPerMinute = 60

/**
 * Decides which calls get a row. A call that was let in does: the quota of its key bounds how many
 * there are. What is refused at the door, or comes without a key, is not bounded by anything, so of
 * it only the first of each minute do, and junk cannot fill the disk.
 */
export function createThinning(): (call: FinishedCall) => boolean {
  let minute = 0
  const written = new Map<string, number>()

  return ({ apiKeyId, isAdmitted, finishedAtMs }) => {
    if (isAdmitted && apiKeyId !== null) return true
    const current = Math.floor(finishedAtMs / 60_000)
    if (current !== minute) written.clear()
    minute = current
    const caller = apiKeyId ?? ''
    const count = written.get(caller) ?? 0
    if (count >= refusedRowsPerMinute) return false
    written.set(caller, count + 1)
    return true
  }
}
