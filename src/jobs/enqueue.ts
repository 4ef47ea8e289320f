import { build } from '#db/database.ts'
import { statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { JobPriority } from '#generated/types.ts'
import type { Cause } from '#http/operation.ts'
import type { Id } from '#ids.ts'
import type { TaskName } from './task.ts'

export const priorities = { HIGH: 1, NORMAL: 2, LOW: 3 } satisfies Record<JobPriority, number>

export interface EnqueueOptions {
  /** Not before then; at once unless told. */
  dueAt?: Date
  priority?: JobPriority
  /** While a job of this task and key is pending or running, a second one is refused. */
  uniqueKey?: string
}

/**
 * Queues a job in the transaction that wants it done, so that the job exists exactly when its cause
 * does. Answers its id. A second job under a unique key fails the flush on `job_unique_key`.
 */
export function enqueue<Payload extends object>(
  tx: Tx,
  cause: Cause,
  { name }: TaskName<Payload>,
  payload: Payload,
  { dueAt = cause.now, priority = 'NORMAL', uniqueKey }: EnqueueOptions = {},
): Id<'job'> {
  const id = tx.newId('job')
  tx.queue(
    jobInsert.bind({
      ...{ tenantId: tx.tenantId, id, task: name, payload: JSON.stringify(payload) },
      ...{ priority: priorities[priority], dueAt, uniqueKey: uniqueKey ?? null },
      ...{ actorType: cause.actor.type, actorId: cause.actor.id },
      ...{ correlationId: cause.correlationId, traceparent: cause.traceparent },
      createdAt: cause.now,
    }),
  )
  tx.envelope.hasJobs = true
  return id
}

interface NewJob {
  tenantId: string
  id: string
  task: string
  payload: string
  priority: number
  dueAt: Date
  uniqueKey: string | null
  actorType: string
  actorId: string
  correlationId: string
  traceparent: string | null
  createdAt: Date
}

const jobInsert = statement('job_insert', (a: NewJob) =>
  build.insertInto('job').values({
    tenant_id: a.tenantId,
    id: a.id,
    task: a.task,
    payload: a.payload,
    status: 'PENDING',
    priority: a.priority,
    due_at: a.dueAt,
    unique_key: a.uniqueKey,
    attempt_count: 0,
    actor_type: a.actorType,
    actor_id: a.actorId,
    correlation_id: a.correlationId,
    traceparent: a.traceparent,
    created_at: a.createdAt,
  }),
)
