import type { Selectable } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import { lockTenant } from '#db/tenant-lock.sql.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import { priorities } from './enqueue.ts'
import { priorityOf } from './job.sql.ts'
import type { Schedule } from './schedule.ts'

export const scheduleColumns = [
  'id',
  'name',
  'task',
  'payload',
  'cron',
  'time_zone',
  'priority',
  'overlap',
  'catch_up',
  'status',
  'paused_reason',
  'next_run_at',
  'last_run_at',
  'last_skipped_at',
  'last_job_id',
  'created_at',
  'updated_at',
  'revision',
] as const

export type ScheduleRow = Pick<Selectable<Tables['job_schedule']>, (typeof scheduleColumns)[number]>

export function fromScheduleRow(row: ScheduleRow): Schedule {
  return {
    id: row.id as Id<'sch'>,
    name: row.name,
    task: row.task as Schedule['task'],
    payload: row.payload as Schedule['payload'],
    cron: row.cron,
    timeZone: row.time_zone,
    priority: priorityOf(row.priority),
    overlap: row.overlap as Schedule['overlap'],
    catchUp: row.catch_up as Schedule['catchUp'],
    status: row.status as Schedule['status'],
    pausedReason: row.paused_reason,
    nextRunAt: row.next_run_at,
    lastRunAt: row.last_run_at,
    lastSkippedAt: row.last_skipped_at,
    lastJobId: row.last_job_id,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

type Written = { tenantId: TenantId; payload: string; priority: number } & Omit<
  Schedule,
  'payload' | 'priority'
>

function written(tenantId: TenantId, schedule: Schedule): Written {
  const payload = JSON.stringify(schedule.payload)
  return { ...schedule, tenantId, payload, priority: priorities[schedule.priority] }
}

export function insertSchedule(tx: Tx, tenantId: TenantId, schedule: Schedule): void {
  tx.queue(scheduleInsert.bind(written(tenantId, schedule)))
}

const scheduleInsert = statement('job_schedule_insert', (a: Written) =>
  build.insertInto('job_schedule').values({
    tenant_id: a.tenantId,
    id: a.id,
    task: a.task,
    created_at: a.createdAt,
    ...columnsOf(a),
  }),
)

/** Queues a schedule's new state; the caller holds it. */
export function updateSchedule(tx: Tx, tenantId: TenantId, schedule: Schedule): void {
  const revisionBefore = schedule.revision - 1
  tx.queue(scheduleUpdate.bind({ ...written(tenantId, schedule), revisionBefore }))
}

const scheduleUpdate = touchingOne(
  'job_schedule_update',
  'conflict',
  (a: Written & { revisionBefore: number }) =>
    build
      .updateTable('job_schedule')
      .set(columnsOf(a))
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore),
)

/** What may change; what the firing moves on by itself is left to it. */
function columnsOf(a: Written) {
  return {
    name: a.name,
    payload: a.payload,
    cron: a.cron,
    time_zone: a.timeZone,
    priority: a.priority,
    overlap: a.overlap,
    catch_up: a.catchUp,
    status: a.status,
    paused_reason: a.pausedReason,
    next_run_at: a.nextRunAt,
    updated_at: a.updatedAt,
    revision: a.revision,
  }
}

interface OneSchedule {
  tenantId: TenantId
  id: string
}

export function deleteSchedule(tx: Tx, tenantId: TenantId, id: string): void {
  tx.queue(scheduleDelete.bind({ tenantId, id }))
}

const scheduleDelete = touchingOne('job_schedule_delete', 'conflict', (a: OneSchedule) =>
  build.deleteFrom('job_schedule').where('tenant_id', '=', a.tenantId).where('id', '=', a.id),
)

function selectOne(a: OneSchedule) {
  return build
    .selectFrom('job_schedule')
    .select(scheduleColumns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
}

export async function findSchedule(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, scheduleById.bind({ tenantId, id }))
  return row && fromScheduleRow(row)
}

const scheduleById = statement('job_schedule_by_id', selectOne)

/** The schedule, held against other changes and against its firing, until the transaction ends. */
export async function lockSchedule(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, scheduleLocked.bind({ tenantId, id }))
  return row && fromScheduleRow(row)
}

const scheduleLocked = statement('job_schedule_locked', (a: OneSchedule) =>
  selectOne(a).forNoKeyUpdate(),
)

/** How many schedules the tenant has; until the transaction ends nobody else adds one. */
export async function countSchedules(tx: Tx, tenantId: TenantId): Promise<number> {
  await lockTenant(tx, tenantId)
  const [row] = await tx
    .selectFrom('job_schedule')
    .select((column) => column.fn.countAll<string>().as('count'))
    .where('tenant_id', '=', tenantId)
    .execute()
  return Number(row?.count ?? 0)
}

export interface ScheduleFilter extends CreationFilter {
  status?: Schedule['status'] | undefined
}

export async function pageSchedules(
  db: Db,
  tenantId: TenantId,
  filter: ScheduleFilter,
  page: PageRequest,
): Promise<Schedule[]> {
  const all = db.selectFrom('job_schedule').select(scheduleColumns)
  const own = all.where('tenant_id', '=', tenantId)
  let query = inOrderOfCreation(own, { prefix: 'sch' }, filter, page)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  return (await query.execute()).map(fromScheduleRow)
}
