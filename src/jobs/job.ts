import type { EventType } from '#generated/events.ts'
import type { JobInfo, JobPriority, JobStatus, JobSummary } from '#generated/types.ts'
import { problem } from '#http/problem.ts'
import type { Id } from '#ids.ts'
import type { Final, Progress } from './run.sql.ts'

/**
 * A *job* as its row says: what is to be done, how far it is, and what came of it. Whoever asked for
 * it reads the same row later; there is no other record of it.
 */
export interface Job {
  id: Id<'job'>
  task: string
  payload: Record<string, unknown>
  status: JobStatus
  priority: JobPriority
  dueAt: Date
  uniqueKey: string | null
  scheduleId: string | null
  attemptCount: number
  isCancelAsked: boolean
  progress: Progress
  result: Record<string, unknown> | null
  error: string | null
  /** Who asked for it, as in the audit. */
  actorType: string
  correlationId: string
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

/** A job may be put off for so long, and no longer. */
export const aheadMsMax = 366 * 24 * 60 * 60 * 1_000

/** What a new job is, but for who asks for it. */
export type NewJob = Pick<Job, 'id' | 'task' | 'payload' | 'priority' | 'dueAt' | 'uniqueKey'>

export function newJob(
  told: NewJob,
  cause: { actor: { type: string }; correlationId: string; now: Date },
): Job {
  return {
    ...told,
    status: 'PENDING',
    scheduleId: null,
    attemptCount: 0,
    isCancelAsked: false,
    progress: null,
    result: null,
    error: null,
    actorType: cause.actor.type,
    correlationId: cause.correlationId,
    createdAt: cause.now,
    startedAt: null,
    finishedAt: null,
  }
}

/** The job with all of its tries before it again; throws `invalid_state` unless it ended badly. */
export function retried(job: Job, now: Date): Job {
  if (job.status !== 'FAILED' && job.status !== 'CANCELLED') throw wrongState(job)
  return {
    ...job,
    status: 'PENDING',
    dueAt: now,
    attemptCount: 0,
    isCancelAsked: false,
    progress: null,
    error: null,
    startedAt: null,
    finishedAt: null,
  }
}

/**
 * The job called off: over at once while it waits, asked to break off while it runs. Throws
 * `invalid_state` when it is over.
 */
export function cancelled(job: Job, now: Date): Job {
  if (job.status === 'PENDING') return { ...job, status: 'CANCELLED', finishedAt: now }
  if (job.status === 'RUNNING') return { ...job, isCancelAsked: true }
  throw wrongState(job)
}

function wrongState({ status }: Job) {
  return problem('invalid_state', { detail: `The job is ${status}.` })
}

/** The job as the end of its run leaves it. */
export function concluded(job: Job, ending: Final, progress: Progress, now: Date): Job {
  return {
    ...job,
    status: ending.status,
    result: ending.status === 'SUCCEEDED' && ending.result ? JSON.parse(ending.result) : null,
    error:
      ending.status === 'FAILED' ? ending.error : ending.status === 'CANCELLED' ? job.error : null,
    isCancelAsked: false,
    progress: progress ?? job.progress,
    finishedAt: now,
  }
}

/**
 * The event that tells of a job's end; undefined for one that is not over, and for success that
 * nobody asked for: what the system does by itself is news only when it fails.
 */
export function endOf({ status, actorType, scheduleId }: Job): JobEnd | undefined {
  if (status === 'FAILED') return 'job.failed'
  if (status === 'CANCELLED') return 'job.cancelled'
  const isAskedFor = actorType === 'API_KEY' || scheduleId !== null
  return status === 'SUCCEEDED' && isAskedFor ? 'job.succeeded' : undefined
}

type JobEnd = Extract<EventType, 'job.succeeded' | 'job.failed' | 'job.cancelled'>

export function toJob(job: Job): JobInfo {
  return { ...toJobSummary(job), result: job.result }
}

/** As much of an error as is told. */
const errorLengthMax = 2_000

/** The job as lists show it: results can be large, and there are many in a page. */
export function toJobSummary(job: Omit<Job, 'result'>): JobSummary {
  return {
    id: job.id,
    task: job.task,
    payload: job.payload,
    status: job.status,
    priority: job.priority,
    dueAt: job.dueAt.toISOString(),
    uniqueKey: job.uniqueKey,
    scheduleId: job.scheduleId,
    attemptCount: job.attemptCount,
    isCancelAsked: job.isCancelAsked,
    progress: job.progress,
    error: job.error?.slice(0, errorLengthMax) ?? null,
    correlationId: job.correlationId,
    createdAt: job.createdAt.toISOString(),
    startedAt: job.startedAt?.toISOString() ?? null,
    finishedAt: job.finishedAt?.toISOString() ?? null,
  }
}
