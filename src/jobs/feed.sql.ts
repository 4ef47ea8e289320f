import type pg from 'pg'
import { flushQueue } from '#db/worker.ts'
import type { TenantId } from '#ids.ts'

/** What one pass of the feeder is to hand over. */
export interface FeedPass {
  /** Of this very pass: a job that is handed over may be started only with it. */
  token: string
  /** The tasks that this process knows: of others it hands over nothing. */
  tasks: readonly string[]
  /** The share of most tenants, for each worker that there is. */
  usualShare: number
  /** Those that have another. */
  tenantIds: readonly TenantId[]
  shares: readonly number[]
  now: Date
  /** The tenant behind which to begin: the last one of the pass before. */
  after: string
}

export interface Fed {
  count: number
  /** The last tenant looked at when there may be more behind it, '' otherwise. */
  after: string
}

/** Jobs handed over in one pass. */
const jobsMax = 500
/** Tenants looked at in one pass; the next goes on behind them. */
const tenantsMax = 100

/**
 * Held while feeding, so that shares hold over all processes; a pass takes milliseconds. It does not
 * wait for the disk: if a crash undoes it, nothing was handed over, and what was is not started.
 */
const lockFeed = {
  name: 'feed_lock',
  text: `select pg_advisory_xact_lock($1), set_config('synchronous_commit', 'off', true)`,
  values: [8_262_005],
}

/** How long a job may wait in graphile-worker's queue before it is handed over anew. */
const handedForMs = 60_000

/**
 * Hands due jobs to graphile-worker: tenant by tenant, of each no more than its share at once, first
 * by priority and then what is due longest.
 */
export async function feedJobs(pool: pg.Pool, request: FeedPass): Promise<Fed> {
  const [, fed] = await flushQueue<{ count: string; after: string | null }>(pool, [
    lockFeed,
    feedStatement(request),
  ])
  const [row] = fed?.rows ?? []
  return { count: Number(row?.count ?? 0), after: row?.after ?? '' }
}

function feedStatement(request: FeedPass): pg.QueryConfig {
  const { after, tasks, tenantIds, shares, usualShare, now, token } = request
  return {
    name: 'feed_jobs',
    text: feedText,
    values: [after, tasks, tenantIds, shares, usualShare, now, token],
  }
}

/** From tenant to tenant by the index, as many as one pass looks at. */
const turns = `
  recursive waiting (tenant_id) as (
    (select tenant_id from job
      where status = 'PENDING' and lease_token is null and tenant_id > $1
      order by tenant_id limit 1)
    union all
    select (select job.tenant_id from job
      where job.status = 'PENDING' and job.lease_token is null
        and job.tenant_id > waiting.tenant_id
      order by job.tenant_id limit 1)
    from waiting where waiting.tenant_id is not null
  ), turns as materialized (
    select tenant_id from waiting where tenant_id is not null limit ${tenantsMax}
  )`

const feedText = `
  with ${turns}, room as materialized (
    select turns.tenant_id,
      coalesce(own.share, $5 * greatest(1, (select count(*) from job_worker))) - (
        select count(*) from job as held
        where held.tenant_id = turns.tenant_id and held.lease_token is not null
      ) as jobs
    from turns left join unnest($3::text[], $4::int[]) as own (tenant_id, share) using (tenant_id)
  ), ripe as (
    select due.*, row_number() over (
      partition by due.tenant_id order by due.priority, due.due_at, due.id) as place, room.jobs
    from room cross join (values (1), (2), (3)) as level (priority) cross join lateral (
      select tenant_id, id, task, priority, due_at, status, lease_token from job
      where job.tenant_id = room.tenant_id and status = 'PENDING' and lease_token is null
        and job.priority = level.priority and due_at <= $6 and task = any($2)
      order by due_at, id limit greatest(room.jobs, 0)
    ) as due
  ), picked as (
    select tenant_id, id, status, lease_token
    from ripe where place <= jobs order by place, tenant_id limit ${jobsMax}
  ), handed as (
    update job set lease_token = $7,
      leased_until = clock_timestamp() + interval '${handedForMs} milliseconds'
    from picked
    where job.tenant_id = picked.tenant_id and job.id = picked.id
      and job.status = picked.status and job.lease_token is not distinct from picked.lease_token
    returning job.tenant_id, job.id, job.task, job.priority
  ), queued as materialized (
    select count(*) as count from graphile_worker.add_jobs(array(
      select row(task, json_build_object('tenantId', tenant_id, 'jobId', id, 'token', $7::text),
        null, null, 1, null, priority, null)::graphile_worker.job_spec
      from handed order by priority))
    where exists (select from handed)
  )
  select queued.count, (select tenant_id from turns offset ${tenantsMax - 1}) as after from queued`
