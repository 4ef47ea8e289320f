import type { Context } from '#context.ts'
import { conclude } from './conclude.ts'
import { runFeeder } from './feeder.ts'
import type { Presence } from './presence.ts'
import { runQueue } from './queue.ts'
import { createRunner } from './runner.ts'
import { createShares } from './share.ts'
import { runSweeper } from './sweeper.ts'
import type { Task } from './task.ts'

/*
 * How a job runs: its row is committed with its cause → the feeder hands it to graphile-worker →
 * graphile-worker hands it to a process → the runner starts it under a lease, runs its task, and
 * writes down how it ended. The row alone says what is so: whatever dies on the way, the row is still
 * there, its lease ends, and it is handed over again.
 */

/** Jobs that a process runs at once. */
const slots = 20

/** Jobs that a process holds at once, those that wait for a slot included. */
const heldMax = 100

export interface Jobs {
  /** Lets runs end for so long, and gives back the rest without burning an attempt. */
  stop(drainMs: number): Promise<void>
}

/** Feeds, runs and sweeps jobs of these tasks. */
export function runJobs(ctx: Context, presence: Presence, tasks: readonly Task[]): Jobs {
  const usualShare = Math.ceil(slots / 2)
  const shares = createShares(usualShare)
  const feeder = runFeeder(ctx, { tasks, shares, usualShare })
  const runner = createRunner(ctx, {
    ...{ presence, tasks, shares, slots },
    conclude: (started, ending, progress) => conclude(ctx, started, ending, progress),
    onEnded: feeder.wakeSoon,
  })
  const names = tasks.map(({ name }) => name)
  const queue = runQueue(ctx, { presence, tasks: names, heldMax, perform: runner.perform })
  const sweeper = runSweeper(ctx, feeder.wake)
  ctx.db.jobsCommitted.listen(feeder.wake)
  return {
    async stop(drainMs) {
      await Promise.all([feeder.stop(), sweeper.stop()])
      await Promise.all([runner.stop(drainMs), queue.stop()])
    },
  }
}
