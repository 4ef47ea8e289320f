import { type RawBuilder, sql } from 'kysely'
import type pg from 'pg'
import type { Db } from '#db/database.ts'
import type { Cell } from '#figures/cells.ts'
import { hourOfSpan } from '#figures/span.sql.ts'
import type { FigureRange } from '#figures/span.ts'
import type { WebhookMetricsGrouping } from '#generated/types.ts'
import type { TenantId } from '#ids.ts'
import type { AttemptOutcome } from './dispatch.ts'
import type { AttemptFigures } from './metric.ts'
import type { MetricGroup } from './metrics.ts'

const totals = [
  'outcomes',
  'outcome_counts',
  'delivered',
  'exhausted',
  'latency_buckets',
  'latency_counts',
]

/** Lists of different lengths do not fit into one array, so they go as text. */
const putText = `
  insert into webhook_metric (tenant_id, span_seconds, starts_at, endpoint_id, process_id,
    ${totals.join(', ')})
  select tenant_id, span_seconds, starts_at, endpoint_id, $1, outcomes::text[], counts::integer[],
    delivered, exhausted, buckets::integer[], bucket_counts::integer[]
  from unnest($2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
    $8::int[], $9::int[], $10::text[], $11::text[])
    as cell (tenant_id, span_seconds, starts_at, endpoint_id, outcomes, counts, delivered,
      exhausted, buckets, bucket_counts)
  on conflict (tenant_id, span_seconds, starts_at, endpoint_id, process_id) do update
    set ${totals.map((column) => `${column} = excluded.${column}`).join(', ')}`

/** Writes the totals of cells in place of what they were. */
export async function putMetrics(
  worker: pg.Pool,
  processId: string,
  cells: readonly Cell<AttemptFigures>[],
): Promise<void> {
  const values = [
    processId,
    cells.map(({ tenantId }) => tenantId),
    cells.map(({ spanSeconds }) => spanSeconds),
    cells.map(({ startMs }) => new Date(startMs).toISOString()),
    cells.map(({ subjectId }) => subjectId),
    cells.map(({ figures: { outcomes } }) => `{${[...outcomes.keys()]}}`),
    cells.map(({ figures: { outcomes } }) => `{${[...outcomes.values()]}}`),
    cells.map(({ figures }) => figures.delivered),
    cells.map(({ figures }) => figures.exhausted),
    cells.map(({ figures: { sketch } }) => `{${[...sketch.keys()]}}`),
    cells.map(({ figures: { sketch } }) => `{${[...sketch.values()]}}`),
  ]
  await worker.query({ name: 'webhook_metric_put', text: putText, values })
}

const groupings: Record<WebhookMetricsGrouping, RawBuilder<string>> = {
  NONE: sql`''`,
  ENDPOINT: sql`endpoint_id`,
  HOUR: hourOfSpan,
}

interface Row {
  name: string
  delivered: number
  exhausted: number
  outcomes: AttemptOutcome[]
  outcome_counts: number[]
  buckets: number[]
  counts: number[]
}

/** The sums of a tenant's deliveries, group by group. Not for the shared connections of reads. */
export async function sumMetrics(
  db: Db,
  tenantId: TenantId,
  { fromMs, toMs, spanSeconds }: FigureRange,
  groupBy: WebhookMetricsGrouping,
  endpointId: string | undefined,
): Promise<MetricGroup[]> {
  const { rows } = await sql<Row>`
    with cell as materialized (
      select ${groupings[groupBy]} as name, webhook_metric.* from webhook_metric
      where tenant_id = ${tenantId} and span_seconds = ${spanSeconds}
        and starts_at >= ${new Date(fromMs)} and starts_at < ${new Date(toMs)}
        ${endpointId === undefined ? sql`` : sql`and endpoint_id = ${endpointId}`}
    ), sums as (
      select name, sum(delivered)::float8 as delivered, sum(exhausted)::float8 as exhausted
      from cell group by name
    ), outcome as (
      select name, outcome, sum(count)::float8 as count
      from cell, unnest(outcomes, outcome_counts) as o (outcome, count) group by name, outcome
    ), taxonomy as (
      select name, array_agg(outcome) as outcomes, array_agg(count) as outcome_counts
      from outcome group by name
    ), bin as (
      select name, bucket, sum(count)::float8 as count
      from cell, unnest(latency_buckets, latency_counts) as b (bucket, count)
      group by name, bucket
    ), sketch as (
      select name, array_agg(bucket) as buckets, array_agg(count) as counts from bin group by name
    )
    select sums.*, outcomes, outcome_counts, coalesce(buckets, '{}') as buckets,
      coalesce(counts, '{}') as counts
    from sums join taxonomy using (name) left join sketch using (name)`.execute(db)
  return rows.map((row) => ({
    endpointId: groupBy === 'ENDPOINT' ? row.name : undefined,
    startsAt: groupBy === 'HOUR' ? new Date(row.name) : undefined,
    sums: {
      delivered: row.delivered,
      exhausted: row.exhausted,
      outcomes: new Map(row.outcomes.map((name, at) => [name, row.outcome_counts[at] ?? 0])),
      sketch: new Map(row.buckets.map((bucket, at) => [bucket, row.counts[at] ?? 0])),
    },
  }))
}
