import type {
  JobPriority,
  JobScheduleInfo,
  JobScheduleInput,
  JobSchedulePatch,
} from '#generated/types.ts'
import type { Id } from '#ids.ts'
import { misfitOfTiming, nextRun, runsWithin, type Timing } from './cron.ts'
import type { Misfit } from './misfit.ts'
import { rollingReportOf } from './usage-report.ts'

/**
 * A *schedule* makes a job of one task at each of its times. Its time is moved on in the transaction
 * that makes the job, so that each time is seen to once, by whichever worker comes first.
 */
export interface Schedule extends Timing {
  id: Id<'sch'>
  name: string
  task: JobScheduleInput['task']
  /** As the contract has it, relative to the time of each job. */
  payload: ReturnType<typeof rollingReportOf>
  priority: JobPriority
  overlap: JobScheduleInfo['overlap']
  catchUp: JobScheduleInfo['catchUp']
  status: JobScheduleInfo['status']
  pausedReason: string | null
  nextRunAt: Date | null
  lastRunAt: Date | null
  lastSkippedAt: Date | null
  lastJobId: string | null
  createdAt: Date
  updatedAt: Date
  revision: number
}

/** Each is looked at whenever it is time, so there are only so many. */
export const schedulesMax = 100

/** A time is not missed while a worker is restarted. */
const graceMs = 60_000

/** What is made up for after a long outage: the newest, since the oldest are worth least. */
export const catchUpMax = 100

export function newSchedule(id: Id<'sch'>, input: JobScheduleInput, now: Date): Schedule {
  const { name, task, cron, timeZone, payload } = input
  const { priority = 'NORMAL', overlap = 'SKIP', catchUp = 'LATEST' } = input
  return {
    ...{ id, name, task, cron, timeZone, priority, overlap, catchUp },
    payload: rollingReportOf(payload),
    status: 'ENABLED',
    pausedReason: null,
    nextRunAt: nextRun(input, now) ?? null,
    lastRunAt: null,
    lastSkippedAt: null,
    lastJobId: null,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

/** The schedule as a patch makes it; with other times, or awake again, it goes on from now. */
export function patchSchedule(
  schedule: Schedule,
  { payload, ...patch }: JobSchedulePatch,
  now: Date,
): Schedule {
  const patched = {
    ...schedule,
    ...patch,
    payload: { ...schedule.payload, ...payload },
    updatedAt: now,
    revision: schedule.revision + 1,
  }
  if (patched.status === 'PAUSED') return { ...patched, nextRunAt: null }
  const isSameTiming = patched.cron === schedule.cron && patched.timeZone === schedule.timeZone
  if (isSameTiming && schedule.status === 'ENABLED') return patched
  return { ...patched, pausedReason: null, nextRunAt: nextRun(patched, now) ?? null }
}

/** The schedule at rest because its times or its jobs cannot be made out. */
export function pausedFor(reason: string, schedule: Schedule, now: Date): Schedule {
  return {
    ...schedule,
    status: 'PAUSED',
    pausedReason: reason.slice(0, 500),
    nextRunAt: null,
    updatedAt: now,
    revision: schedule.revision + 1,
  }
}

export function misfitOfSchedule(
  schedule: Timing & Pick<JobScheduleInput, 'overlap' | 'catchUp'>,
  now: Date,
): Misfit | undefined {
  // Jobs that are made at once for several times would all overlap.
  if (schedule.catchUp === 'ALL' && schedule.overlap !== 'ALLOW') {
    return { pointer: '/catchUp', message: 'can be ALL only with the overlap ALLOW' }
  }
  return misfitOfTiming(schedule, now)
}

/** What follows from a schedule's being due. */
export interface Firing {
  /** The times for which there is to be a job. */
  runs: Date[]
  /** The last of its times for which there is to be none. */
  skippedAt: Date | null
  nextRunAt: Date | null
}

/** Decides about all times up to `now`; `isBusy`: the job before is pending or running. */
export function fire(schedule: Schedule, isBusy: boolean, now: Date): Firing {
  const from = schedule.nextRunAt ?? now
  const due = runsWithin(schedule, from, now, catchUpMax)
  const isHeld = isBusy && schedule.overlap === 'SKIP'
  const runs = isHeld ? [] : madeUpFor(schedule.catchUp, due, now)
  const skippedAt = due.findLast((time) => !runs.includes(time)) ?? null
  return { runs, skippedAt, nextRunAt: nextRun(schedule, now) ?? null }
}

function madeUpFor(catchUp: Schedule['catchUp'], due: readonly Date[], now: Date): Date[] {
  const latest = due.slice(-1)
  switch (catchUp) {
    case 'ALL':
      return [...due]
    case 'LATEST':
      return latest
    case 'NONE':
      return latest.filter((time) => now.getTime() - time.getTime() <= graceMs)
    default:
      return catchUp satisfies never
  }
}

export function toSchedule(schedule: Schedule): JobScheduleInfo {
  return {
    id: schedule.id,
    name: schedule.name,
    task: schedule.task,
    payload: { ...schedule.payload },
    cron: schedule.cron,
    timeZone: schedule.timeZone,
    priority: schedule.priority,
    overlap: schedule.overlap,
    catchUp: schedule.catchUp,
    status: schedule.status,
    pausedReason: schedule.pausedReason,
    nextRunAt: schedule.nextRunAt?.toISOString() ?? null,
    lastRunAt: schedule.lastRunAt?.toISOString() ?? null,
    lastSkippedAt: schedule.lastSkippedAt?.toISOString() ?? null,
    lastJobId: schedule.lastJobId,
    createdAt: schedule.createdAt.toISOString(),
    updatedAt: schedule.updatedAt.toISOString(),
    revision: schedule.revision,
  }
}
