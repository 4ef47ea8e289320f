import type pg from 'pg'
import type { Id, TenantId } from '#ids.ts'
import { priorities } from './enqueue.ts'
import { fromScheduleRow, type ScheduleRow, scheduleColumns } from './schedule.sql.ts'
import type { Schedule } from './schedule.ts'

/** A schedule whose time has come, and whether the job before is still to be done. */
export interface DueSchedule {
  tenantId: TenantId
  schedule: Schedule
  isBusy: boolean
}

/** Due schedules of all tenants, longest first, held until the transaction ends. */
export async function takeDueSchedules(
  client: pg.PoolClient,
  now: Date,
  limit: number,
): Promise<DueSchedule[]> {
  const { rows } = await client.query<ScheduleRow & { tenant_id: TenantId; is_busy: boolean }>({
    name: 'job_schedules_due',
    text: `
      select tenant_id, ${scheduleColumns.join(', ')}, exists (
        select from job
        where job.tenant_id = job_schedule.tenant_id and job.id = job_schedule.last_job_id
          and job.status in ('PENDING', 'RUNNING')
      ) as is_busy
      from job_schedule where next_run_at <= $1
      order by next_run_at, tenant_id, id limit $2
      for no key update skip locked`,
    values: [now, limit],
  })
  return rows.map(({ tenant_id, is_busy, ...row }) => ({
    tenantId: tenant_id,
    schedule: fromScheduleRow(row),
    isBusy: is_busy,
  }))
}

/** A job for one time of a schedule. */
export interface ScheduledJob {
  id: Id<'job'>
  tenantId: TenantId
  schedule: Schedule
  payload: object
  dueAt: Date
  correlationId: string
}

/** Jobs of schedules, as `enqueue` makes those of callers. */
export function jobsInsert(jobs: readonly ScheduledJob[], now: Date): pg.QueryConfig {
  return {
    name: 'job_schedules_jobs',
    text: `
      insert into job (tenant_id, id, task, payload, status, priority, due_at, schedule_id,
        attempt_count, actor_type, actor_id, correlation_id, created_at)
      select tenant_id, id, task, payload, 'PENDING', priority, due_at, schedule_id,
        0, 'SYSTEM', 'job-schedule', correlation_id, $9
      from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::smallint[],
        $6::timestamptz[], $7::text[], $8::text[])
        as made (tenant_id, id, task, payload, priority, due_at, schedule_id, correlation_id)`,
    values: [
      jobs.map((job) => job.tenantId),
      jobs.map((job) => job.id),
      jobs.map((job) => job.schedule.task),
      jobs.map((job) => JSON.stringify(job.payload)),
      jobs.map((job) => priorities[job.schedule.priority]),
      jobs.map((job) => job.dueAt),
      jobs.map((job) => job.schedule.id),
      jobs.map((job) => job.correlationId),
      now,
    ],
  }
}

/** Where a schedule stands after it was due. */
export interface Moved {
  tenantId: TenantId
  id: string
  nextRunAt: Date | null
  lastRunAt: Date | null
  lastSkippedAt: Date | null
  lastJobId: string | null
}

/** Moves schedules on; null leaves what was last. */
export function schedulesMove(moved: readonly Moved[]): pg.QueryConfig {
  return {
    name: 'job_schedules_move',
    text: `
      update job_schedule set next_run_at = moved.next_run_at,
        last_run_at = coalesce(moved.last_run_at, job_schedule.last_run_at),
        last_skipped_at = coalesce(moved.last_skipped_at, job_schedule.last_skipped_at),
        last_job_id = coalesce(moved.last_job_id, job_schedule.last_job_id)
      from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[],
        $5::timestamptz[], $6::text[])
        as moved (tenant_id, id, next_run_at, last_run_at, last_skipped_at, last_job_id)
      where job_schedule.tenant_id = moved.tenant_id and job_schedule.id = moved.id`,
    values: [
      moved.map((one) => one.tenantId),
      moved.map((one) => one.id),
      moved.map((one) => one.nextRunAt),
      moved.map((one) => one.lastRunAt),
      moved.map((one) => one.lastSkippedAt),
      moved.map((one) => one.lastJobId),
    ],
  }
}
