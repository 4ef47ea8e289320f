import type { Context } from '#context.ts'
import { feedJobs } from './feed.sql.ts'
import { type Loop, runLoop } from './loop.ts'
import type { Shares } from './share.ts'
import type { Task } from './task.ts'

/**
 * The *feeder* hands due jobs from our rows to graphile-worker, in batches, behind the requests that
 * made them: adding a job there in a request's own transaction would make all commits wait for each
 * other. Any number of processes feed; they take turns.
 */
export interface FeederOptions {
  tasks: readonly Task[]
  shares: Shares
  usualShare: number
}

const idleMs = 50
/** Jobs that end make room for others, which are fed together. */
const soonMs = 10
/** A pass costs most by being made; with few commits, each is followed by one at once. */
const apartMs = 50

export function runFeeder(ctx: Context, { tasks, shares, usualShare }: FeederOptions): Loop {
  const known = tasks.map(({ name }) => name)
  let after = ''

  async function pass(): Promise<boolean> {
    const fed = await feedJobs(ctx.db.worker, {
      token: ctx.clock.randomBytes(12).toString('base64url'),
      tasks: known,
      usualShare,
      ...shares.exceptions(performance.now()),
      now: ctx.clock.now(),
      after,
    })
    after = fed.after
    return after !== ''
  }

  return runLoop({ name: 'job-feeder', pass, idleMs, soonMs, apartMs, log: ctx.log })
}
