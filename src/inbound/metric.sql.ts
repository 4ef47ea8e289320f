import { type RawBuilder, sql } from 'kysely'
import type pg from 'pg'
import type { Db } from '#db/database.ts'
import type { Cell } from '#figures/cells.ts'
import { hourOfSpan } from '#figures/span.sql.ts'
import type { FigureRange } from '#figures/span.ts'
import type { InboundMetricsGrouping } from '#generated/types.ts'
import type { TenantId } from '#ids.ts'
import type { OutcomeCount, OutcomeSum, WebhookFigures } from './metrics.ts'

/** Lists of different lengths do not fit into one array, so they go as text. */
const putText = `
  insert into inbound_metric (tenant_id, span_seconds, starts_at, source_id, process_id, outcomes,
    outcome_counts, outcome_last_at)
  select tenant_id, span_seconds, starts_at, source_id, $1, outcomes::text[], counts::integer[],
    last_at::timestamptz[]
  from unnest($2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
    $8::text[])
    as cell (tenant_id, span_seconds, starts_at, source_id, outcomes, counts, last_at)
  on conflict (tenant_id, span_seconds, starts_at, source_id, process_id) do update
    set outcomes = excluded.outcomes, outcome_counts = excluded.outcome_counts,
      outcome_last_at = excluded.outcome_last_at`

/** Writes the totals of cells in place of what they were. */
export async function putMetrics(
  worker: pg.Pool,
  processId: string,
  cells: readonly Cell<WebhookFigures>[],
): Promise<void> {
  const listOf = (figures: WebhookFigures, read: (one: OutcomeCount) => string | number) =>
    `{${[...figures.values()].map(read)}}`
  const values = [
    processId,
    cells.map(({ tenantId }) => tenantId),
    cells.map(({ spanSeconds }) => spanSeconds),
    cells.map(({ startMs }) => new Date(startMs).toISOString()),
    cells.map(({ subjectId }) => subjectId),
    cells.map(({ figures }) => `{${[...figures.keys()]}}`),
    cells.map(({ figures }) => listOf(figures, ({ count }) => count)),
    cells.map(({ figures }) => listOf(figures, ({ lastAt }) => lastAt.toISOString())),
  ]
  await worker.query({ name: 'inbound_metric_put', text: putText, values })
}

const groupings: Record<InboundMetricsGrouping, RawBuilder<string>> = {
  NONE: sql`''`,
  SOURCE: sql`source_id`,
  HOUR: hourOfSpan,
}

/** What became of a tenant's webhooks, by group and outcome. Not for the shared connections of reads. */
export async function sumMetrics(
  db: Db,
  tenantId: TenantId,
  { fromMs, toMs, spanSeconds }: FigureRange,
  groupBy: InboundMetricsGrouping,
  sourceId: string | undefined,
): Promise<OutcomeSum[]> {
  const { rows } = await sql<OutcomeSum>`
    select ${groupings[groupBy]} as "group", outcome, sum(count)::float8 as count,
      max(last_at) as "lastAt"
    from inbound_metric, unnest(outcomes, outcome_counts, outcome_last_at)
      as o (outcome, count, last_at)
    where tenant_id = ${tenantId} and span_seconds = ${spanSeconds}
      and starts_at >= ${new Date(fromMs)} and starts_at < ${new Date(toMs)}
      ${sourceId === undefined ? sql`` : sql`and source_id = ${sourceId}`}
    group by 1, 2`.execute(db)
  return rows
}
