import type pg from 'pg'
import type { Context } from '#context.ts'
import { flushWorker } from '#db/worker.ts'

const hourMs = 60 * 60 * 1_000

/** What a process still had to write of an hour has come in by then. */
const graceMs = 5 * 60 * 1_000

/** With each new hour those before it are made again, for what came in late. */
const hoursMadeAgain = 2

/** Beside the sums of each operation and key stand those of all operations, of all keys, and of all. */
const makeHour = `
  with cell as (
    select * from api_call_minute
    where minute >= $1::timestamptz and minute < $1::timestamptz + interval '1 hour'
  ), sums as (
    select tenant_id, coalesce(operation_id, '*') as operation_id,
      coalesce(api_key_id, '*') as api_key_id, sum(calls) as calls,
      sum(client_errors) as client_errors, sum(server_errors) as server_errors,
      sum(limit_hits) as limit_hits, sum(request_bytes) as request_bytes,
      sum(response_bytes) as response_bytes
    from cell group by tenant_id, cube (operation_id, api_key_id)
  ), bin as materialized (
    select tenant_id, operation_id, api_key_id, bucket, sum(count) as count
    from cell, unnest(latency_buckets, latency_counts) as b (bucket, count)
    group by tenant_id, operation_id, api_key_id, bucket
  ), cubed as (
    select tenant_id, coalesce(operation_id, '*') as operation_id,
      coalesce(api_key_id, '*') as api_key_id, bucket, sum(count) as count
    from bin group by tenant_id, bucket, cube (operation_id, api_key_id)
  ), sketch as (
    select tenant_id, operation_id, api_key_id, array_agg(bucket) as buckets,
      array_agg(count)::integer[] as counts
    from cubed group by tenant_id, operation_id, api_key_id
  )
  insert into api_call_hour (tenant_id, hour, operation_id, api_key_id, calls, client_errors,
    server_errors, limit_hits, request_bytes, response_bytes, latency_buckets, latency_counts)
  select tenant_id, $1, operation_id, api_key_id, calls, client_errors, server_errors, limit_hits,
    request_bytes, response_bytes, buckets, counts
  from sums join sketch using (tenant_id, operation_id, api_key_id)
  on conflict (tenant_id, hour, operation_id, api_key_id) do update
    set calls = excluded.calls, client_errors = excluded.client_errors,
      server_errors = excluded.server_errors, limit_hits = excluded.limit_hits,
      request_bytes = excluded.request_bytes, response_bytes = excluded.response_bytes,
      latency_buckets = excluded.latency_buckets, latency_counts = excluded.latency_counts`

/** Adds minutes up to hours, as far as hours are over; two workers at it take turns. */
export async function makeHours({ db, clock }: Pick<Context, 'db' | 'clock'>): Promise<void> {
  const closedMs = Math.floor((clock.now().getTime() - graceMs) / hourMs) * hourMs
  while (await makeNext(db.worker, closedMs));
}

/** Makes the first hour that is missing; answers whether there may be another. */
async function makeNext(pool: pg.Pool, closedMs: number): Promise<boolean> {
  const client = await pool.connect()
  try {
    const [, found] = await flushWorker<{ next: Date | null }>(client, 'begin', [
      { text: findNext },
    ])
    const [row] = found?.rows ?? []
    // Without minutes there is nothing to add up, and all that is over counts as made.
    const nextMs = row?.next?.getTime() ?? closedMs
    if (row === undefined || nextMs >= closedMs) {
      const mark = row?.next === null ? [markUntil(closedMs)] : []
      await flushWorker(client, 'commit', mark)
      return false
    }
    const hours = Array.from({ length: hoursMadeAgain + 1 }, (_, back) => nextMs - back * hourMs)
    await flushWorker(client, 'commit', [
      ...hours.map((ms) => ({ name: 'api_call_hour_make', text: makeHour, values: [at(ms)] })),
      markUntil(nextMs + hourMs),
    ])
    return true
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  } finally {
    client.release()
  }
}

/** Nothing where another worker is at it. */
const findNext = `
  select coalesce(rolled_until, (select date_trunc('hour', min(minute)) from api_call_minute))
    as next
  from api_call_progress for update skip locked`

function markUntil(ms: number): pg.QueryConfig {
  return { text: 'update api_call_progress set rolled_until = $1', values: [at(ms)] }
}

const at = (ms: number): string => new Date(ms).toISOString()
