import { Counter, Histogram } from 'prom-client'
import type { Context } from '#context.ts'
import { isUnwritable } from '#db/errors.ts'
import { CommitUnknown, isConnectionLoss } from '#db/transact.ts'
import { faultPoints, reach } from '#fault-points.ts'
import { settled } from './drain.ts'
import { gather } from './gather.ts'
import { type Loop, runLoop } from './loop.ts'
import { leaseToken, type Presence } from './presence.ts'
import {
  type Ending,
  type Final,
  type Handed,
  leaseMs,
  type Progress,
  renewLeases,
  type Settled,
  type Started,
  settleJobs,
  startJobs,
} from './run.sql.ts'
import { type Broken, causeOf, succeeded, unfinished } from './run.ts'
import type { Shares } from './share.ts'
import { createSlots } from './slots.ts'
import { type Task, TaskPause } from './task.ts'

/**
 * The *runner* does what graphile-worker hands it: it starts the job under a lease of its own, runs
 * the task, and writes down how it ended, only while the lease is still its own. Starts and endings
 * of many jobs share statements. Whether a failed job runs again is decided here, and graphile-worker
 * is told that all went well: there a job runs once.
 */
export interface Runner {
  /** Runs a job to its end, whatever that is; never throws. */
  perform(handed: Handed): Promise<void>
  /** Lets runs end for so long, breaks off the others and gives them back. */
  stop(drainMs: number): Promise<void>
}

export interface RunnerOptions {
  presence: Presence
  tasks: readonly Task[]
  shares: Shares
  slots: number
  /** Writes a final state that somebody is told of, in one transaction; answers whether it was ours. */
  conclude: (started: Started, ending: Final, progress: Progress) => Promise<boolean>
  /** A job ended: there may be room for another. */
  onEnded: () => void
}

interface Run {
  started: Started
  controller: AbortController
  broken: Broken | undefined
  progress: Progress
}

/** Who finds no slot waits so long before its job is given back. */
const patienceMs = 100
const renewEveryMs = 1_000
const batchMax = 200
/** A task that was told to stop and does not is left to itself after so long. */
const graceMs = 5_000

const jobSeconds = new Histogram({
  name: 'ubos_job_seconds',
  help: 'How long runs of jobs took, by task and how they ended.',
  labelNames: ['task', 'ending'],
  buckets: [0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600],
})
const jobsFailed = new Counter({
  name: 'ubos_jobs_failed_total',
  help: 'Jobs that failed for good, by task.',
  labelNames: ['task'],
})

export function createRunner(ctx: Context, options: RunnerOptions): Runner {
  const { db, clock, log } = ctx
  const tasks = new Map(options.tasks.map((task) => [task.name, task]))
  const slots = createSlots(options.slots, patienceMs)
  const running = new Set<Run>()
  let isStopping = false

  const start = gather(
    (batch: readonly Handed[]) =>
      startJobs(
        db.worker,
        batch.map((handed) => ({ ...handed, lease: newLease() })),
        clock.now(),
      ),
    { batchMax, isOfOne: isUnwritable },
  )
  const settle = gather((batch: readonly Settled[]) => settleJobs(db.worker, batch, clock.now()), {
    batchMax,
    isOfOne: isUnwritable,
  })

  function newLease(): string {
    return leaseToken(options.presence.id, clock.randomBytes(12))
  }

  async function perform(handed: Handed): Promise<void> {
    const free = isStopping ? undefined : await slots.take(handed.tenantId)
    try {
      if (free === undefined && !isStopping) {
        options.shares.refused(handed.tenantId, performance.now())
      }
      if (free === undefined || !options.presence.isHeld()) await giveBack(handed)
      else await begin(handed)
    } catch (error) {
      // Its lease ends by itself, and it is handed over again.
      log.error({ err: error, jobId: handed.jobId }, 'a job could not be run')
    } finally {
      free?.()
      options.onEnded()
    }
  }

  async function begin(handed: Handed): Promise<void> {
    const started = await start(handed).catch(async (error) => {
      log.warn({ err: error, jobId: handed.jobId }, 'a job could not be started')
      await giveBack(handed)
    })
    if (started) await run(started)
  }

  async function giveBack({ tenantId, jobId, token }: Handed): Promise<void> {
    const ending = { status: 'GIVEN_BACK' } as const
    await insist(() => settle({ tenantId, jobId, token, isStarted: false, ending, progress: null }))
  }

  async function run(started: Started): Promise<void> {
    const one: Run = {
      started,
      controller: new AbortController(),
      ...{ broken: undefined, progress: null },
    }
    running.add(one)
    reach(faultPoints.jobStarted)
    const startedMs = performance.now()
    try {
      const ending = await endingOf(one)
      reach(faultPoints.jobEffected)
      jobSeconds.observe(
        { task: started.task, ending: ending.status },
        (performance.now() - startedMs) / 1_000,
      )
      if (ending.status === 'FAILED') jobsFailed.inc({ task: started.task })
      if (ending.status === 'SUCCEEDED') options.shares.ended(started.tenantId)
      await write(one, ending)
    } finally {
      running.delete(one)
    }
  }

  async function endingOf(one: Run): Promise<Ending> {
    const { tenantId, jobId, task: name, attempt, fruitless, isCancelAsked } = one.started
    const task = tasks.get(name)
    // A stop that came while it was begun did not see it: nobody would break it off.
    if (task === undefined || isStopping) return { status: 'GIVEN_BACK' }
    if (isCancelAsked) return { status: 'CANCELLED' }
    if (fruitless > task.attemptsMax) {
      return { status: 'FAILED', error: 'The processes that ran it stopped, each time.' }
    }
    const timer = setTimeout(() => breakOff(one, 'time'), task.timeoutMs)
    try {
      return succeeded(await Promise.race([work(task, one), neglected(one.controller.signal)]))
    } catch (error) {
      if (one.broken === undefined && !(error instanceof TaskPause)) {
        log.error({ err: error, tenantId, jobId, task: name, attempt }, 'a run of a job failed')
      }
      return unfinished(
        task,
        {
          ...{ error, broken: one.broken },
          fruitless: fruitlessOf(one),
          isCutOff: isCutOff(error),
        },
        { now: clock.now(), random: clock.random() },
      )
    } finally {
      clearTimeout(timer)
    }
  }

  function work(task: Task, one: Run): Promise<object | undefined> {
    const { tenantId, jobId, payload, attempt } = one.started
    return task.run(ctx, {
      ...{ tenantId, jobId, payload, attempt },
      cause: causeOf(one.started, clock),
      signal: one.controller.signal,
      progress(done, total) {
        one.progress = { done, total: total ?? one.progress?.total ?? null }
      },
    })
  }

  function breakOff(one: Run, why: Broken): void {
    if (one.broken !== undefined) return
    one.broken = why
    one.controller.abort(new Error(`the run was broken off: ${why}`))
  }

  async function write(run: Run, ending: Ending): Promise<void> {
    const { started, progress } = run
    const { tenantId, jobId, token } = started
    try {
      const isOurs = await insist(() =>
        isFinal(ending) && isTold(started, ending)
          ? options.conclude(started, ending, progress)
          : settle({ tenantId, jobId, token, isStarted: true, ending, progress }),
      )
      if (!isOurs) log.warn({ tenantId, jobId }, 'a job was taken from us before it ended')
    } catch (error) {
      if (ending.status !== 'SUCCEEDED' || !isUnwritable(error)) throw error
      await write(run, { status: 'FAILED', error: 'Its result cannot be stored.' })
    }
  }

  async function renew(): Promise<boolean> {
    const runs = [...running]
    if (runs.length === 0) return false
    const batch = runs.map(({ started: { tenantId, jobId, token }, progress }) => ({
      ...{ tenantId, jobId, token, progress },
    }))
    const ours = await renewLeases(db.worker, batch)
    for (const one of runs) {
      const lease = ours.get(one.started.token)
      if (lease?.isCancelAsked) breakOff(one, 'cancelled')
      // Settled in the meantime, or taken from us.
      if (lease === undefined && running.has(one)) breakOff(one, 'lost')
    }
    return false
  }

  const renewer: Loop = runLoop({ name: 'job-leases', pass: renew, idleMs: renewEveryMs, log })

  return {
    perform,
    async stop(drainMs) {
      isStopping = true
      await settled(() => running.size === 0, drainMs)
      for (const one of running) breakOff(one, 'stopping')
      await settled(() => running.size === 0, graceMs + 1_000)
      await renewer.stop()
    },
  }
}

/** A run that got further than all before it is the first of others. */
function fruitlessOf({ started, progress }: Run): number {
  return (progress?.done ?? 0) > started.furthest ? 1 : started.fruitless
}

function isCutOff(error: unknown): boolean {
  return isConnectionLoss(error) || error instanceof CommitUnknown
}

function isFinal(ending: Ending): ending is Final {
  return ending.status !== 'PENDING' && ending.status !== 'GIVEN_BACK'
}

/** That a job succeeded is told if somebody asked for it; that it failed or was cancelled, always. */
function isTold({ actor, scheduleId }: Started, { status }: Final): boolean {
  return status !== 'SUCCEEDED' || actor.type === 'API_KEY' || scheduleId !== null
}

/** Rejects when a task that was broken off has not come back within the grace. */
function neglected(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      setTimeout(() => reject(signal.reason), graceMs).unref()
    })
  })
}

/** Tries for as long as a lease may last: what was done should not have to be done again. */
async function insist<Result>(write: () => Promise<Result>): Promise<Result> {
  const endMs = performance.now() + leaseMs
  for (let restMs = 50; ; restMs = Math.min(restMs * 2, 1_000)) {
    try {
      return await write()
    } catch (error) {
      if (isUnwritable(error) || performance.now() > endMs) throw error
      await new Promise((resolve) => setTimeout(resolve, restMs))
    }
  }
}
