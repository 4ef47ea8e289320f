import { Gauge } from 'prom-client'
import type { Context } from '#context.ts'
import { watchAbsent } from './absence.ts'
import { type Loop, runLoop } from './loop.ts'
import {
  findAbsentPools,
  findAbsentWorkers,
  forgetAbsentPools,
  freeJobs,
  oldestWaiting,
  unlockPools,
} from './sweep.sql.ts'

/** What dead and hanging workers held is found by whoever looks next. */
export interface Sweeper extends Pick<Loop, 'stop'> {}

const lookEveryMs = 1_000

/** What costs more and hurries nobody is done once in so many passes. */
const rareEvery = 10

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
  const goneWorkers = watchAbsent(() => findAbsentWorkers(db.worker))
  const gonePools = watchAbsent(() => findAbsentPools(db.worker))
  let passes = 0

  async function pass(): Promise<boolean> {
    const freed = await freeJobs(db.worker, await goneWorkers())
    if (freed > 0) {
      log.warn({ jobs: freed }, 'jobs of workers that are gone are due again')
      onFreed()
    }
    const gone = await gonePools()
    if (gone.length > 0) await unlockPools(db.worker, gone)
    if (passes % rareEvery === 0) {
      await forgetAbsentPools(db.worker)
      await measure()
    }
    passes += 1
    return false
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
