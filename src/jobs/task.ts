import type { Context } from '#context.ts'
import type { Cause } from '#http/operation.ts'
import type { Id, TenantId } from '#ids.ts'

/**
 * A *job* is a unit of work behind the API, and a row; a *task* is the code that does it. Whoever
 * wants work done knows the task's name and payload only (`TaskName`); `src/tasks.ts` holds the code.
 */
export interface TaskName<Payload extends object> {
  /** UPPER_SNAKE; stored in the job's row. */
  readonly name: string
  /** Never there: it lets the compiler know what the payload is. */
  readonly payload?: Payload
}

/** Names a task, so that a pure file can say what its jobs are about. */
export function taskName<Payload extends object>(name: string): TaskName<Payload> {
  return { name }
}

/** How long to wait after the nth failed run, in ms: first, then doubled up to most, ± 20 %. */
export interface Backoff {
  readonly firstMs: number
  readonly mostMs: number
}

/** The code behind a name, and how patient we are with it. */
export interface Task<Payload extends object = object> {
  readonly name: string
  /** A run that takes longer is aborted and counts as failed. */
  readonly timeoutMs: number
  /** Runs in a row that get no further, by their `progress`, before a failure is final. */
  readonly attemptsMax: number
  readonly backoff: Backoff
  /** Does the work; what it answers is kept as the job's result. A thrown error is a failed run. */
  run(ctx: Context, run: JobRun<Payload>): Promise<object | undefined>
}

/** One run of a job, as its task sees it. */
export interface JobRun<Payload extends object = object> {
  readonly tenantId: TenantId
  readonly jobId: Id<'job'>
  readonly payload: Payload
  /** 1 for the first run. */
  readonly attempt: number
  /** What this run's deeds are put down to: its own time, the asker's correlation and trace. */
  readonly cause: Cause
  /** Aborted when the time is up, the job is cancelled, the lease is lost, or the process stops. */
  readonly signal: AbortSignal
  /** Says how far it is; written down now and then, never awaited. */
  progress(done: number, total?: number): void
}

/** A failure that no further run can mend; its message is shown to the tenant. */
export class TaskRefusal extends Error {
  override readonly name = 'TaskRefusal'
}

/** Nothing can be done for the moment: the job is due again after so long, and no attempt is spent. */
export class TaskPause extends Error {
  override readonly name = 'TaskPause'
  readonly ms: number
  constructor(ms: number) {
    super(`to be run again after ${ms} ms`)
    this.ms = ms
  }
}

/** Binds a name to its code, so that payloads fit on both sides. */
export function task<Payload extends object>(
  { name }: TaskName<Payload>,
  options: Omit<Task<Payload>, 'name'>,
): Task {
  // The table holds tasks of all payloads; enqueue is what keeps name and payload together.
  return { name, ...options } as unknown as Task
}
