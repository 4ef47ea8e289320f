import type { Context } from '#context.ts'
import { type Loop, runLoop } from '#jobs/loop.ts'
import { endLeasesOf, findAbsentWorkers } from './orphan.sql.ts'

const lookEveryMs = 500

/** After a restart of the database all workers are absent until they have connected again. */
const patienceMs = 2_000

/** Gives back what dead workers were sending; `onFreed` says that there is something to claim. */
export function runOrphanage({ db, log }: Context, onFreed: () => void): Loop {
  const absentSinceMs = new Map<string, number>()

  async function pass(): Promise<boolean> {
    const nowMs = performance.now()
    const absent = new Set(await findAbsentWorkers(db.worker))
    for (const id of absentSinceMs.keys()) if (!absent.has(id)) absentSinceMs.delete(id)
    for (const id of absent) if (!absentSinceMs.has(id)) absentSinceMs.set(id, nowMs)
    const gone = [...absent].filter((id) => nowMs - (absentSinceMs.get(id) ?? nowMs) >= patienceMs)
    if (gone.length === 0) return false
    await endLeasesOf(db.worker, gone)
    log.warn({ workers: gone }, 'workers are gone; what they were sending is due again')
    onFreed()
    return false
  }

  return runLoop({ name: 'orphans', pass, idleMs: lookEveryMs, log })
}
