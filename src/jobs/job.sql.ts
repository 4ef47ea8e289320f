import type { Selectable } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import type { JobPriority, JobStatus } from '#generated/types.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import { priorities } from './enqueue.ts'
import type { Job } from './job.ts'

const summaryColumns = [
  'id',
  'task',
  'payload',
  'status',
  'priority',
  'due_at',
  'unique_key',
  'schedule_id',
  'attempt_count',
  'is_cancel_asked',
  'progress_done',
  'progress_total',
  'error',
  'actor_type',
  'correlation_id',
  'created_at',
  'started_at',
  'finished_at',
] as const

/** What a job is read from. */
export const jobColumns = [...summaryColumns, 'result'] as const

type SummaryRow = Pick<Selectable<Tables['job']>, (typeof summaryColumns)[number]>
export type JobRow = Pick<Selectable<Tables['job']>, (typeof jobColumns)[number]>

export function fromJobRow(row: JobRow): Job {
  return { ...fromSummaryRow(row), result: row.result as Job['result'] }
}

function fromSummaryRow(row: SummaryRow): Omit<Job, 'result'> {
  return {
    id: row.id as Id<'job'>,
    task: row.task,
    payload: row.payload as Job['payload'],
    status: row.status as JobStatus,
    priority: priorityOf(row.priority),
    dueAt: row.due_at,
    uniqueKey: row.unique_key,
    scheduleId: row.schedule_id,
    attemptCount: row.attempt_count,
    isCancelAsked: row.is_cancel_asked,
    progress: progressOf(row),
    error: row.error,
    actorType: row.actor_type,
    correlationId: row.correlation_id,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  }
}

function progressOf({ progress_done, progress_total }: SummaryRow): Job['progress'] {
  if (progress_done === null) return null
  const total = progress_total === null ? null : Number(progress_total)
  return { done: Number(progress_done), total }
}

const priorityNames = Object.entries(priorities) as [JobPriority, number][]

/** The name of a stored priority. */
export function priorityOf(stored: number): JobPriority {
  return priorityNames.find(([, rank]) => rank === stored)?.[0] ?? 'NORMAL'
}

interface OneJob {
  tenantId: TenantId
  id: string
}

function selectOne(a: OneJob) {
  return build
    .selectFrom('job')
    .select(jobColumns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
}

export async function findJob(db: Db, tenantId: TenantId, id: string): Promise<Job | undefined> {
  const row = await fetchOne(db, jobById.bind({ tenantId, id }))
  return row && fromJobRow(row)
}

const jobById = statement('job_by_id', selectOne)

/** The job, held against whoever would start or finish it, until the transaction ends. */
export async function lockJob(tx: Tx, tenantId: TenantId, id: string): Promise<Job | undefined> {
  const row = await fetchOne(tx, jobLocked.bind({ tenantId, id }))
  return row && fromJobRow(row)
}

const jobLocked = statement('job_locked', (a: OneJob) => selectOne(a).forNoKeyUpdate())

/** Queues a job's return to those that wait; whoever feeds them is told with the commit. */
export function retryJob(tx: Tx, tenantId: TenantId, { id, dueAt }: Job): void {
  tx.queue(jobRetry.bind({ tenantId, id, dueAt }))
  tx.envelope.hasJobs = true
}

const jobRetry = touchingOne('job_retry', 'conflict', (a: OneJob & { dueAt: Date }) =>
  build
    .updateTable('job')
    .set({
      status: 'PENDING',
      due_at: a.dueAt,
      attempt_count: 0,
      fruitless_count: 0,
      furthest: 0,
      lease_token: null,
      leased_until: null,
      is_cancel_asked: false,
      progress_done: null,
      progress_total: null,
      error: null,
      started_at: null,
      finished_at: null,
    })
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('status', 'in', ['FAILED', 'CANCELLED']),
)

/** Queues the end of a job that waits; without its lease whoever was handed it does nothing. */
export function cancelJob(tx: Tx, tenantId: TenantId, id: string, now: Date): void {
  tx.queue(jobCancel.bind({ tenantId, id, now }))
}

const jobCancel = touchingOne('job_cancel', 'conflict', (a: OneJob & { now: Date }) =>
  build
    .updateTable('job')
    .set({ status: 'CANCELLED', lease_token: null, leased_until: null, finished_at: a.now })
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('status', '=', 'PENDING'),
)

/** Queues the wish that the run under way break off. */
export function askToCancel(tx: Tx, tenantId: TenantId, id: string): void {
  tx.queue(jobCancelAsked.bind({ tenantId, id }))
}

const jobCancelAsked = touchingOne('job_cancel_asked', 'conflict', (a: OneJob) =>
  build
    .updateTable('job')
    .set({ is_cancel_asked: true })
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('status', '=', 'RUNNING'),
)

export interface JobFilter extends CreationFilter {
  status?: JobStatus | undefined
  task?: string | undefined
  scheduleId?: string | undefined
}

export async function pageJobs(
  db: Db,
  tenantId: TenantId,
  filter: JobFilter,
  page: PageRequest,
): Promise<Omit<Job, 'result'>[]> {
  const all = db.selectFrom('job').select(summaryColumns).where('tenant_id', '=', tenantId)
  let query = inOrderOfCreation(all, { prefix: 'job' }, filter, page)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  if (filter.task !== undefined) query = query.where('task', '=', filter.task)
  if (filter.scheduleId !== undefined) query = query.where('schedule_id', '=', filter.scheduleId)
  return (await query.execute()).map(fromSummaryRow)
}
