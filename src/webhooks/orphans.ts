import type { Context } from '#context.ts'
import { type Loop, runLoop } from '#jobs/loop.ts'
import { endLeasesOf, findAbsentWorkers } from './orphan.sql.ts'

const lookEveryMs = 500

/** Between losing a connection and the next, a worker that lives is absent for a moment. */
const patienceMs = 2_000

/**
 * After a database was away all workers are absent until they have connected again, each when it has
 * noticed. We were cut off as they were, so our own last failure says how long ago that was.
 */
const patienceAfterOutageMs = 10_000

/** Gives back what dead workers were sending; `onFreed` says that there is something to claim. */
export function runOrphanage({ db, log }: Context, onFreed: () => void): Loop {
  const absentSinceMs = new Map<string, number>()
  let outageMs = Number.NEGATIVE_INFINITY

  async function pass(): Promise<boolean> {
    const absent = new Set(await look())
    const nowMs = performance.now()
    for (const id of absentSinceMs.keys()) if (!absent.has(id)) absentSinceMs.delete(id)
    for (const id of absent) if (!absentSinceMs.has(id)) absentSinceMs.set(id, nowMs)
    if (nowMs - outageMs < patienceAfterOutageMs) return false
    const gone = [...absent].filter((id) => nowMs - (absentSinceMs.get(id) ?? nowMs) >= patienceMs)
    if (gone.length === 0) return false
    await endLeasesOf(db.worker, gone)
    log.warn({ workers: gone }, 'workers are gone; what they were sending is due again')
    onFreed()
    return false
  }

  async function look(): Promise<string[]> {
    try {
      return await findAbsentWorkers(db.worker)
    } catch (error) {
      outageMs = performance.now()
      throw error
    }
  }

  return runLoop({ name: 'orphans', pass, idleMs: lookEveryMs, log })
}
