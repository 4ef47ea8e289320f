import type pg from 'pg'
import { isPresent } from './presence.ts'

/** Jobs freed in one pass. */
const freedMax = 1_000

/** The workers that run jobs and are not present. */
export async function findAbsentWorkers(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'absent_job_workers',
    text: `
      select distinct worker as id
      from (select split_part(lease_token, '.', 1) as worker from job
        where lease_token is not null and status = 'RUNNING') as held
      where not ${isPresent('worker')}`,
  })
  return rows.map(({ id }) => id)
}

/**
 * Makes jobs due again whose worker is one of these, or hung for longer than its lease; and those
 * that were handed to graphile-worker long ago and never started. Answers how many.
 */
export async function freeJobs(pool: pg.Pool, goneWorkers: readonly string[]): Promise<number> {
  const { rowCount } = await pool.query({
    name: 'free_jobs',
    text: `
      with lost as (
        select tenant_id, id from job
        where lease_token is not null and status in ('PENDING', 'RUNNING')
          and (leased_until <= clock_timestamp()
            or (status = 'RUNNING' and split_part(lease_token, '.', 1) = any($1)))
        limit ${freedMax} for no key update skip locked
      )
      update job set lease_token = null, leased_until = null,
        status = 'PENDING',
        error = case when status = 'RUNNING' then 'The process that ran it stopped.' else error end
      from lost where job.tenant_id = lost.tenant_id and job.id = lost.id`,
    values: [goneWorkers],
  })
  return rowCount ?? 0
}

/** Those that lock jobs in graphile-worker and belong to no process that is there. */
export async function findAbsentPools(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'absent_pools',
    text: `
      select distinct locked_by as id from graphile_worker.jobs
      where locked_by is not null and locked_by not in (
        select worker_id from job_worker where ${isPresent('presence_id::text')})`,
  })
  return rows.map(({ id }) => id)
}

/** Lets others take what these had locked in graphile-worker. */
export async function unlockPools(pool: pg.Pool, ids: readonly string[]): Promise<void> {
  await pool.query('select graphile_worker.force_unlock_workers($1)', [ids])
}

/** Notes which process a graphile-worker pool belongs to. Again and again: to no further effect. */
export async function registerPool(pool: pg.Pool, id: string, presenceId: number): Promise<void> {
  await pool.query(
    `insert into job_worker (worker_id, presence_id, started_at)
     values ($1, $2, clock_timestamp()) on conflict do nothing`,
    [id, presenceId],
  )
}

/** Forgets a pool that has stopped and holds nothing. */
export async function forgetPool(pool: pg.Pool, id: string): Promise<void> {
  await pool.query('delete from job_worker where worker_id = $1', [id])
}

/** Forgets pools whose process is not there; one that is registers again. */
export async function forgetAbsentPools(pool: pg.Pool): Promise<void> {
  await pool.query({
    name: 'forget_absent_pools',
    text: `delete from job_worker where not ${isPresent('presence_id::text')}`,
  })
}

/** How long the longest waiting job has been due, by task, in seconds. */
export async function oldestWaiting(
  pool: pg.Pool,
  now: Date,
): Promise<{ task: string; seconds: number; count: number }[]> {
  const { rows } = await pool.query<{ task: string; seconds: string; count: string }>({
    name: 'oldest_jobs',
    text: `
      select task, extract(epoch from $1::timestamptz - min(due_at)) as seconds, count(*)
      from (select task, due_at from job
        where status = 'PENDING' and lease_token is null and due_at <= $1 limit ${100_000}) as waiting
      group by task`,
    values: [now],
  })
  return rows.map(({ task, seconds, count }) => ({
    task,
    seconds: Number(seconds),
    count: Number(count),
  }))
}
