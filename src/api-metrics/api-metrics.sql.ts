import { type RawBuilder, sql } from 'kysely'
import type { Db } from '#db/database.ts'
import type { ApiMetricsGrouping } from '#generated/types.ts'
import type { TenantId } from '#ids.ts'
import type { CallGroup } from './api-metrics.ts'
import type { Cover, Span } from './cover.ts'

/** Until when the hours are made, in ms; null: there is none yet. */
export async function findRolledUntil(db: Db): Promise<number | null> {
  const row = await db.selectFrom('api_call_progress').select('rolled_until').executeTakeFirst()
  return row?.rolled_until?.getTime() ?? null
}

export interface CallFilter {
  operationId?: string | undefined
  apiKeyId?: string | undefined
}

/** What a row is grouped by: text that two rows of one group share. */
const groupings: Record<ApiMetricsGrouping, RawBuilder<string>> = {
  NONE: sql`''`,
  OPERATION: sql`operation_id`,
  KEY: sql`api_key_id`,
  MINUTE: sql`to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`,
  HOUR: sql`to_char(date_trunc('hour', at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`,
}

interface Row {
  name: string
  calls: number
  client_errors: number
  server_errors: number
  limit_hits: number
  request_bytes: number
  response_bytes: number
  buckets: number[]
  counts: number[]
}

/**
 * The sums of a tenant's calls, group by group; Postgres adds up the histograms too. It may take
 * long: not for the shared connections of reads.
 */
export async function sumCalls(
  db: Db,
  tenantId: TenantId,
  cover: Cover,
  groupBy: ApiMetricsGrouping,
  filter: CallFilter,
): Promise<CallGroup[]> {
  const { rows } = await sql<Row>`
    with cell as (
      ${cellsOf(sql`api_call_minute`, sql`minute`, tenantId, cover.minutes, filter)}
      union all
      ${cellsOf(sql`api_call_hour`, sql`hour`, tenantId, cover.hours, filter)}
        ${summedUp(groupBy, filter)}
    ), named as (
      select ${groupings[groupBy]} as name, cell.* from cell
    ), sums as (
      select name, sum(calls)::float8 as calls, sum(client_errors)::float8 as client_errors,
        sum(server_errors)::float8 as server_errors, sum(limit_hits)::float8 as limit_hits,
        sum(request_bytes)::float8 as request_bytes, sum(response_bytes)::float8 as response_bytes
      from named group by name
    ), bin as (
      select name, bucket, sum(count)::float8 as count
      from named, unnest(latency_buckets, latency_counts) as b (bucket, count)
      group by name, bucket
    ), sketch as (
      select name, array_agg(bucket) as buckets, array_agg(count) as counts
      from bin group by name
    )
    select * from sums join sketch using (name)`.execute(db)
  return rows.map((row) => toGroup(row, groupBy))
}

function cellsOf(
  table: RawBuilder<unknown>,
  at: RawBuilder<unknown>,
  tenantId: TenantId,
  spans: readonly Span[],
  { operationId, apiKeyId }: CallFilter,
): RawBuilder<unknown> {
  const within = spans.map(
    ({ fromMs, toMs }) => sql`(${at} >= ${new Date(fromMs)} and ${at} < ${new Date(toMs)})`,
  )
  return sql`
    select ${at} as at, operation_id, api_key_id, calls, client_errors, server_errors, limit_hits,
      request_bytes, response_bytes, latency_buckets, latency_counts
    from ${table}
    where tenant_id = ${tenantId}
      and (${within.length === 0 ? sql`false` : sql.join(within, sql` or `)})
      ${operationId === undefined ? sql`` : sql`and operation_id = ${operationId}`}
      ${apiKeyId === undefined ? sql`` : sql`and api_key_id = ${apiKeyId}`}`
}

/** Of an hour those rows that are summed up over all that is not asked about. */
function summedUp(groupBy: ApiMetricsGrouping, filter: CallFilter): RawBuilder<unknown> {
  const needsOperation = groupBy === 'OPERATION' || filter.operationId !== undefined
  const needsKey = groupBy === 'KEY' || filter.apiKeyId !== undefined
  return sql`
    and operation_id ${needsOperation ? sql`<>` : sql`=`} '*'
    and api_key_id ${needsKey ? sql`<>` : sql`=`} '*'`
}

function toGroup(row: Row, groupBy: ApiMetricsGrouping): CallGroup {
  const isByTime = groupBy === 'MINUTE' || groupBy === 'HOUR'
  return {
    operationId: groupBy === 'OPERATION' ? row.name : undefined,
    apiKeyId: groupBy === 'KEY' ? row.name : undefined,
    startsAt: isByTime ? new Date(row.name) : undefined,
    sums: {
      calls: row.calls,
      clientErrors: row.client_errors,
      serverErrors: row.server_errors,
      limitHits: row.limit_hits,
      requestBytes: row.request_bytes,
      responseBytes: row.response_bytes,
      sketch: new Map(row.buckets.map((bucket, at) => [bucket, row.counts[at] ?? 0])),
    },
  }
}

/** How many whole minutes of a span were up, of how many that count, and from when they count. */
export async function countMinutesUp(db: Db, span: Span): Promise<{ up: number; all: number }> {
  const { rows } = await sql<{ up: string; first: Date | null }>`
    select
      (select count(*) from (
        select from api_beat
        where minute >= ${new Date(span.fromMs)} and minute < ${new Date(span.toMs)}
        group by minute
        having bool_or(is_alive) and (sum(calls) = 0 or sum(failures) * 2 < sum(calls))
      ) as minute_up) as up,
      (select min(minute) from api_beat where is_alive) as first`.execute(db)
  const [row] = rows
  if (row === undefined || row.first === null) return { up: 0, all: 0 }
  const countedMs = span.toMs - Math.max(span.fromMs, row.first.getTime())
  return { up: Number(row.up), all: Math.max(0, Math.round(countedMs / 60_000)) }
}
