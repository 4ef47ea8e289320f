import { EventEmitter } from 'node:events'
import type { LogLevel, WorkerEvents, WorkerPool } from 'graphile-worker'
import type { Context } from '#context.ts'
import { createPool } from '#db/pool.ts'
import { runLoop } from './loop.ts'
import type { Presence } from './presence.ts'
import type { Handed } from './run.sql.ts'
import { forgetPool, registerPool } from './sweep.sql.ts'

/**
 * graphile-worker, held up: it gives up for good when it loses its database at the wrong moment, so
 * whenever it ends without having been told to, another is begun. What the one before had locked is
 * unlocked by the sweeper, since its name is forgotten. Nor does it always end: which tasks there are it
 * asks once, and keeps the answer for as long as it lives, a failure as well. One that has not fetched
 * at all is therefore ended.
 */
export interface Queue {
  /** Takes no more jobs, gives back those that have not begun, and waits for the others. */
  stop(): Promise<void>
}

export interface QueueOptions {
  presence: Presence
  tasks: readonly string[]
  /** Jobs held at once: those that run, and those that wait for a slot. */
  heldMax: number
  perform: (handed: Handed) => Promise<void>
}

const restMs = 500
const registerEveryMs = 1_000
/** It fetches as soon as it begins; one that has got no answer for so long will get none. */
const firstFetchMsMax = 10_000
/** The net under the notifications. */
const pollMs = 500
const connections = 4
const graphileLevels = { error: 'warn', warning: 'warn', info: 'debug', debug: 'trace' } as const

export function runQueue(ctx: Context, options: QueueOptions): Queue {
  // What is handed out, and what is done with, stands in our rows: lost here, it is handed out again.
  const pool = createPool(ctx.db.url, 'ubos_worker', connections, { log: ctx.log, isHasty: true })
  let isStopped = false
  let current: WorkerPool | undefined

  /** Whoever took us for dead has forgotten which pool is ours. */
  const registrar = runLoop({
    name: 'job-pool',
    idleMs: registerEveryMs,
    log: ctx.log,
    async pass() {
      if (current) await registerPool(ctx.db.worker, current.id, options.presence.id)
      return false
    },
  })

  async function live(): Promise<void> {
    const { Logger, runTaskList } = await import('graphile-worker')
    const logger = new Logger(() => (level: LogLevel, message: string) => {
      ctx.log[graphileLevels[level]]({ part: 'graphile-worker' }, message)
    })
    const perform = (payload: unknown) => options.perform(payload as Handed)
    const list = Object.fromEntries(options.tasks.map((name) => [name, perform]))
    const settings = {
      logger,
      noHandleSignals: true,
      concurrency: options.heldMax,
      pollInterval: pollMs,
      preset: {
        worker: {
          completeJobBatchDelay: 0,
          localQueue: { size: options.heldMax },
          gracefulShutdownAbortTimeout: 2 ** 31 - 1,
        },
      },
    }
    while (!isStopped) {
      const events: WorkerEvents = new EventEmitter()
      // Made anew: by this object it knows what it has asked before.
      const begun = runTaskList({ ...settings, events }, list, pool)
      current = begun
      const { id } = begun
      registrar.wake()
      const watch = setTimeout(() => {
        ctx.log.warn('graphile-worker fetches nothing, and is begun again')
        shutDown(begun)
      }, firstFetchMsMax)
      events.once('localQueue:getJobs:complete', () => clearTimeout(watch))
      await begun.promise.catch((error) => {
        ctx.log.error({ err: error }, 'graphile-worker ended, and is begun again')
      })
      clearTimeout(watch)
      current = undefined
      await forgetPool(ctx.db.worker, id).catch(() => undefined)
      if (!isStopped) await new Promise((resolve) => setTimeout(resolve, restMs))
    }
  }

  async function end(): Promise<void> {
    isStopped = true
    if (current) shutDown(current)
    await ended
    await registrar.stop()
    await pool.end()
  }

  const ended = live()
  let stopped: Promise<void> | undefined
  return {
    /** A second call joins the first. */
    stop() {
      stopped ??= end()
      return stopped
    },
  }
}

/** That it fails is told by its promise, on which `live` waits. */
function shutDown(pool: WorkerPool): void {
  void Promise.resolve(pool.gracefulShutdown()).catch(() => undefined)
}
