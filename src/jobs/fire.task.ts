import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { flushWorker } from '#db/worker.ts'
import { publish } from '#events/publish.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import { systemCause } from '#http/operation.ts'
import {
  type DueSchedule,
  jobsInsert,
  type Moved,
  type ScheduledJob,
  schedulesMove,
  takeDueSchedules,
} from './fire.sql.ts'
import { lockSchedule, updateSchedule } from './schedule.sql.ts'
import { fire, pausedFor, toSchedule } from './schedule.ts'
import { daysBefore } from './usage-report.ts'

/** So many schedules are held at once, and so often in one go; what is left comes a second later. */
const batch = { schedules: 50, turns: 20 }

/**
 * Makes the jobs of all schedules whose time has come. A schedule is held while its jobs are made
 * and its time is moved on, in one transaction: each time has its jobs once, whoever else looks.
 * One that cannot be made out is paused, and holds up nobody.
 */
export async function fireSchedules(ctx: Context): Promise<void> {
  for (let turn = 0; turn < batch.turns; turn += 1) {
    const { taken, broken } = await fireBatch(ctx)
    for (const one of broken) await pause(ctx, one)
    if (taken < batch.schedules) return
  }
}

interface Broken extends DueSchedule {
  reason: string
}

async function fireBatch(ctx: Context): Promise<{ taken: number; broken: Broken[] }> {
  const now = ctx.clock.now()
  const client = await ctx.db.worker.connect()
  try {
    await client.query('begin')
    const due = await takeDueSchedules(client, now, batch.schedules)
    const { jobs, moved, broken } = settle(ctx, due, now)
    await flushWorker(client, 'commit', [
      ...(jobs.length > 0 ? [jobsInsert(jobs, now)] : []),
      ...(moved.length > 0 ? [schedulesMove(moved)] : []),
    ])
    client.release()
    if (jobs.length > 0) ctx.db.jobsCommitted.raise()
    return { taken: due.length, broken }
  } catch (error) {
    // The connection goes with its transaction, whatever state that is in.
    client.release(true)
    throw error
  }
}

/** What is to be written for the schedules that are due, and which of them make no sense. */
function settle(ctx: Context, due: readonly DueSchedule[], now: Date) {
  const jobs: ScheduledJob[] = []
  const moved: Moved[] = []
  const broken: Broken[] = []
  for (const one of due) {
    try {
      const { runs, skippedAt, nextRunAt } = fire(one.schedule, one.isBusy, now)
      const made = runs.map((dueAt) => jobFor(ctx, one, dueAt))
      jobs.push(...made)
      moved.push({
        ...{ tenantId: one.tenantId, id: one.schedule.id, nextRunAt },
        lastRunAt: runs.at(-1) ?? null,
        lastSkippedAt: skippedAt,
        lastJobId: made.at(-1)?.id ?? null,
      })
    } catch (error) {
      broken.push({ ...one, reason: (error as Error).message })
    }
  }
  return { jobs, moved, broken }
}

function jobFor({ clock }: Context, { tenantId, schedule }: DueSchedule, dueAt: Date) {
  return {
    ...{ id: clock.newId('job'), tenantId, schedule, dueAt },
    payload: daysBefore(schedule.payload, dueAt),
    correlationId: clock.newId('req'),
  }
}

/** Puts a schedule to rest and tells its tenant why, unless somebody has mended it meanwhile. */
async function pause(ctx: Context, { tenantId, schedule, reason }: Broken): Promise<void> {
  const cause = systemCause(ctx, 'job-schedule')
  await transact(ctx, tenantId, async (tx) => {
    const current = await lockSchedule(tx, tenantId, schedule.id)
    if (current?.revision !== schedule.revision) return
    const paused = pausedFor(reason, current, cause.now)
    const [before, view] = [toSchedule(current), toSchedule(paused)]
    const changedFields = changedFieldsOf(before, view)
    updateSchedule(tx, tenantId, paused)
    record(tx, cause, 'job_schedule.paused', schedule.id, {
      before: pick(before, changedFields),
      after: pick(view, changedFields),
    })
    publish(tx, cause, 'job_schedule.updated', view, { changedFields })
  })
  ctx.log.warn({ tenantId, scheduleId: schedule.id, reason }, 'schedule paused')
}
