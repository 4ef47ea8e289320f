import type { Tx } from '#db/transact.ts'
import type { JobInfo } from '#generated/types.ts'
import type { Call } from '#http/operation.ts'
import { type EnqueueOptions, enqueue } from './enqueue.ts'
import { newJob, toJob } from './job.ts'
import type { TaskName } from './task.ts'

/** Queues a job that a call asks for, and answers it as the caller sees it. */
export function askFor<Payload extends object>(
  tx: Tx,
  call: Call,
  task: TaskName<Payload>,
  payload: Payload,
  options: EnqueueOptions = {},
): JobInfo {
  const { dueAt = call.now, priority = 'NORMAL', uniqueKey } = options
  const id = enqueue(tx, call, task, payload, options)
  const told = { id, task: task.name, payload: payload as Record<string, unknown> }
  const asked = { dueAt, priority, uniqueKey: uniqueKey ?? null }
  return toJob(newJob({ ...told, ...asked }, call))
}
