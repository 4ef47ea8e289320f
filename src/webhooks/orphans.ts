import type { Context } from '#context.ts'
import { watchAbsent } from '#jobs/absence.ts'
import { type Loop, runLoop } from '#jobs/loop.ts'
import { endLeasesOf, findAbsentSenders } from './orphan.sql.ts'

const lookEveryMs = 500

/** Gives back what dead workers were sending; `onFreed` says that there is something to claim. */
export function runOrphanage({ db, log }: Context, onFreed: () => void): Loop {
  const goneWorkers = watchAbsent(() => findAbsentSenders(db.worker))

  async function pass(): Promise<boolean> {
    const gone = await goneWorkers()
    if (gone.length === 0) return false
    await endLeasesOf(db.worker, gone)
    log.warn({ workers: gone }, 'workers are gone; what they were sending is due again')
    onFreed()
    return false
  }

  return runLoop({ name: 'orphans', pass, idleMs: lookEveryMs, log })
}
