import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { rangeAsked } from '#figures/span.ts'
import type { InboundMetricsGrouping } from '#generated/types.ts'
import type { Call, Operation } from '#http/operation.ts'
import { found } from '#http/problem.ts'
import { sumMetrics } from './metric.sql.ts'
import { toMetrics } from './metrics.ts'
import { findSource } from './source.sql.ts'

export const getInboundMetrics: Operation<'getInboundMetrics'> = async (ctx, call, { query }) => ({
  status: 200,
  body: await measure(ctx, call, query, undefined),
})

export const getInboundSourceMetrics: Operation<'getInboundSourceMetrics'> = async (
  ctx,
  call,
  { path, query },
  db,
) => {
  const { id } = found(await findSource(db, call.tenantId, path.inboundSourceId))
  return { status: 200, body: await measure(ctx, call, query, id) }
}

interface Asked {
  from?: string | undefined
  to?: string | undefined
  groupBy: InboundMetricsGrouping
}

/** On a connection of its own: sums can be slow, and would hold up the reads behind them. */
async function measure(
  ctx: Context,
  { tenantId, now }: Call,
  { groupBy, ...asked }: Asked,
  sourceId: string | undefined,
) {
  const range = rangeAsked(asked, now, groupBy === 'HOUR')
  const sums = await transact(ctx, tenantId, (tx) =>
    sumMetrics(tx, tenantId, range, groupBy, sourceId),
  )
  return toMetrics(sums, groupBy, range, now.getTime())
}
