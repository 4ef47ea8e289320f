import { Gauge } from 'prom-client'
import type { Context } from '#context.ts'
import { type Loop, runLoop } from './loop.ts'
import { findAbsentPools, freeJobs, oldestWaiting, unlockPools } from './sweep.sql.ts'

/** What dead and hanging workers held is found by whoever looks next. */
export interface Sweeper extends Pick<Loop, 'stop'> {}

const lookEveryMs = 1_000

/** After a restart of the database all workers are absent until they have connected again. */
const patienceMs = 3_000

/** The age of what waits is looked up once in so many passes. */
const agesEvery = 10

const oldestSeconds = new Gauge({
  name: 'ubos_job_oldest_seconds',
  help: 'How long the longest waiting job has been due, by task.',
  labelNames: ['task'],
})
const waitingJobs = new Gauge({
  name: 'ubos_jobs_waiting',
  help: 'Jobs that are due and not yet handed over, by task; counted up to 100,000.',
  labelNames: ['task'],
})

/** Frees what dead workers held; `onFreed` says that there is something to hand over. */
export function runSweeper({ db, log, clock }: Context, onFreed: () => void): Sweeper {
  const absentSinceMs = new Map<string, number>()
  let passes = 0

  async function pass(): Promise<boolean> {
    const freed = await freeJobs(db.worker)
    if (freed > 0) {
      log.warn({ jobs: freed }, 'jobs of workers that are gone are due again')
      onFreed()
    }
    await unlockAbsent()
    if (passes % agesEvery === 0) await measure()
    passes += 1
    return false
  }

  async function unlockAbsent(): Promise<void> {
    const nowMs = performance.now()
    const absent = new Set(await findAbsentPools(db.worker))
    for (const id of absentSinceMs.keys()) if (!absent.has(id)) absentSinceMs.delete(id)
    for (const id of absent) if (!absentSinceMs.has(id)) absentSinceMs.set(id, nowMs)
    const gone = [...absent].filter((id) => nowMs - (absentSinceMs.get(id) ?? nowMs) >= patienceMs)
    if (gone.length > 0) await unlockPools(db.worker, gone)
  }

  async function measure(): Promise<void> {
    const waiting = await oldestWaiting(db.worker, clock.now())
    oldestSeconds.reset()
    waitingJobs.reset()
    for (const { task, seconds, count } of waiting) {
      oldestSeconds.set({ task }, seconds)
      waitingJobs.set({ task }, count)
    }
  }

  return runLoop({ name: 'job-sweeper', pass, idleMs: lookEveryMs, log })
}
