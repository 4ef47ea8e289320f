import type pg from 'pg'
import type { AuditActorType } from '#generated/types.ts'
import type { Id, TenantId } from '#ids.ts'

/** What graphile-worker is handed of a job. */
export interface Handed {
  tenantId: TenantId
  jobId: Id<'job'>
  /** Of the pass that handed it over; a job handed over anew since then is not started with it. */
  token: string
}

/** A job that we run, under our lease. */
export interface Started {
  tenantId: TenantId
  jobId: Id<'job'>
  token: string
  task: string
  payload: object
  /** Runs that have begun, this one included. */
  attempt: number
  /** Runs in a row, this one included, before which it had got no further; and how far that was. */
  fruitless: number
  furthest: number
  /** Whether it was to be cancelled while nobody ran it: then this run only ends it. */
  isCancelAsked: boolean
  scheduleId: string | null
  actor: { type: Exclude<AuditActorType, 'ANONYMOUS'>; id: string }
  correlationId: string
  traceparent: string | null
}

/** A lease ends so long after its last renewal: a worker that hangs has lost its jobs by then. */
export const leaseMs = 15_000

const leaseEnd = `clock_timestamp() + interval '${leaseMs} milliseconds'`

/** Starts those that still wait under the token they were handed over with; the others are stale. */
export async function startJobs(
  pool: pg.Pool,
  batch: readonly (Handed & { lease: string })[],
  now: Date,
): Promise<(Started | undefined)[]> {
  const { rows } = await pool.query<StartedRow>({
    name: 'start_jobs',
    text: `
      update job set status = 'RUNNING', attempt_count = attempt_count + 1, started_at = $5,
        fruitless_count = case when progress_done > furthest then 1 else fruitless_count + 1 end,
        furthest = greatest(furthest, progress_done),
        lease_token = handed.lease, leased_until = ${leaseEnd},
        progress_done = null, progress_total = null
      from unnest($1::text[], $2::text[], $3::text[], $4::text[])
        as handed (tenant_id, id, token, lease)
      where job.tenant_id = handed.tenant_id and job.id = handed.id
        and job.lease_token = handed.token and job.status = 'PENDING'
      returning job.tenant_id, job.id, job.lease_token, job.task, job.payload, job.attempt_count,
        job.fruitless_count, job.furthest::float8 as furthest, job.is_cancel_asked, job.schedule_id, job.actor_type, job.actor_id, job.correlation_id, job.traceparent`,
    values: [
      batch.map(({ tenantId }) => tenantId),
      batch.map(({ jobId }) => jobId),
      batch.map(({ token }) => token),
      batch.map(({ lease }) => lease),
      now,
    ],
  })
  const started = new Map(rows.map((row) => [row.lease_token, fromRow(row)]))
  return batch.map(({ lease }) => started.get(lease))
}

interface StartedRow {
  tenant_id: TenantId
  id: Id<'job'>
  lease_token: string
  task: string
  payload: object
  attempt_count: number
  fruitless_count: number
  furthest: number
  is_cancel_asked: boolean
  schedule_id: string | null
  actor_type: Started['actor']['type']
  actor_id: string
  correlation_id: string
  traceparent: string | null
}

function fromRow(row: StartedRow): Started {
  return {
    tenantId: row.tenant_id,
    jobId: row.id,
    token: row.lease_token,
    task: row.task,
    payload: row.payload,
    attempt: row.attempt_count,
    fruitless: row.fruitless_count,
    furthest: row.furthest,
    isCancelAsked: row.is_cancel_asked,
    scheduleId: row.schedule_id,
    actor: { type: row.actor_type, id: row.actor_id },
    correlationId: row.correlation_id,
    traceparent: row.traceparent,
  }
}

/**
 * How a run ended: for good, to be run again from `dueAt` on, or given back as if it never was, to be
 * run as soon as may be or from `dueAt` on.
 */
export type Ending =
  | Final
  | { status: 'PENDING'; dueAt: Date; error: string }
  | { status: 'GIVEN_BACK'; dueAt?: Date }

/** The end of a job; a result is JSON. */
export type Final =
  | { status: 'SUCCEEDED'; result: string | null }
  | { status: 'FAILED'; error: string }
  | { status: 'CANCELLED' }

/** How far a run has come; null until its task says. */
export type Progress = { done: number; total: number | null } | null

export interface Settled {
  tenantId: TenantId
  jobId: Id<'job'>
  token: string
  /** Whether the run had begun, so that giving it back takes it off the count. */
  isStarted: boolean
  ending: Ending
  progress: Progress
}

/**
 * Writes down how runs ended, each only under its own lease: what was taken from a worker that hung
 * is not touched by it any more. Answers which were.
 */
export async function settleJobs(
  pool: pg.Pool,
  batch: readonly Settled[],
  now: Date,
): Promise<boolean[]> {
  const { rows } = await pool.query<{ token: string }>({
    name: 'settle_jobs',
    text: settleText,
    values: settleValues(batch, now),
  })
  const written = new Set(rows.map(({ token }) => token))
  return batch.map(({ token }) => written.has(token))
}

function settleValues(batch: readonly Settled[], now: Date): unknown[] {
  const endings = batch.map(({ ending }) => ending)
  return [
    batch.map(({ tenantId }) => tenantId),
    batch.map(({ jobId }) => jobId),
    batch.map(({ token }) => token),
    endings.map(({ status }) => (status === 'GIVEN_BACK' ? 'PENDING' : status)),
    endings.map((ending) => ('dueAt' in ending ? ending.dueAt.toISOString() : null)),
    endings.map((ending) => ('error' in ending ? ending.error : null)),
    endings.map((ending) => (ending.status === 'SUCCEEDED' ? ending.result : null)),
    batch.map(({ ending, isStarted }) => (ending.status === 'GIVEN_BACK' && isStarted ? 1 : 0)),
    now.toISOString(),
    ...progressValues(batch),
  ]
}

function progressValues(batch: readonly { progress: Progress }[]): (number | null)[][] {
  return [
    batch.map(({ progress }) => progress?.done ?? null),
    batch.map(({ progress }) => progress?.total ?? null),
  ]
}

/** One that is to be cancelled and would run again is due at once: its next run ends it. */
const settleText = `
  update job set status = ended.status,
    due_at = case when job.is_cancel_asked then $9::timestamptz
      else coalesce(ended.due_at, job.due_at) end,
    error = case when ended.status <> 'SUCCEEDED' then coalesce(ended.error, job.error) end,
    result = ended.result,
    attempt_count = job.attempt_count - ended.given_back,
    fruitless_count = greatest(job.fruitless_count - ended.given_back, 0),
    progress_done = coalesce(ended.done, job.progress_done),
    progress_total = coalesce(ended.total, job.progress_total),
    lease_token = null, leased_until = null,
    is_cancel_asked = job.is_cancel_asked and ended.status = 'PENDING',
    finished_at = case when ended.status <> 'PENDING' then $9::timestamptz end
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
    $7::jsonb[], $8::int[], $10::bigint[], $11::bigint[])
    as ended (tenant_id, id, token, status, due_at, error, result, given_back, done, total)
  where job.tenant_id = ended.tenant_id and job.id = ended.id and job.lease_token = ended.token
  returning ended.token`

/** A run under way, as its lease is renewed. */
interface Renewed {
  tenantId: TenantId
  jobId: Id<'job'>
  token: string
  progress: Progress
}

/** Renews leases and writes progress; answers, by token, those still ours and who must be cancelled. */
export async function renewLeases(
  pool: pg.Pool,
  batch: readonly Renewed[],
): Promise<Map<string, { isCancelAsked: boolean }>> {
  const { rows } = await pool.query<{ lease_token: string; is_cancel_asked: boolean }>({
    name: 'renew_job_leases',
    text: `
      update job set leased_until = ${leaseEnd},
        progress_done = run.done, progress_total = run.total
      from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
        as run (tenant_id, id, token, done, total)
      where job.tenant_id = run.tenant_id and job.id = run.id and job.lease_token = run.token
      returning job.lease_token, job.is_cancel_asked`,
    values: [
      batch.map(({ tenantId }) => tenantId),
      batch.map(({ jobId }) => jobId),
      batch.map(({ token }) => token),
      ...progressValues(batch),
    ],
  })
  return new Map(rows.map((row) => [row.lease_token, { isCancelAsked: row.is_cancel_asked }]))
}
