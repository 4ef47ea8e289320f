import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { rangeAsked } from '#figures/span.ts'
import type { WebhookMetricsGrouping } from '#generated/types.ts'
import type { Call, Operation } from '#http/operation.ts'
import { found } from '#http/problem.ts'
import { findEndpoint } from './endpoint.sql.ts'
import { sumMetrics } from './metric.sql.ts'
import { toMetrics } from './metrics.ts'

export const getWebhookMetrics: Operation<'getWebhookMetrics'> = async (ctx, call, { query }) => ({
  status: 200,
  body: await measure(ctx, call, query, undefined),
})

export const getWebhookEndpointMetrics: Operation<'getWebhookEndpointMetrics'> = async (
  ctx,
  call,
  { path, query },
  db,
) => {
  const { id } = found(await findEndpoint(db, call.tenantId, path.webhookEndpointId))
  return { status: 200, body: await measure(ctx, call, query, id) }
}

interface Asked {
  from?: string | undefined
  to?: string | undefined
  groupBy: WebhookMetricsGrouping
}

/** On a connection of its own: sums can be slow, and would hold up the reads behind them. */
async function measure(
  ctx: Context,
  { tenantId, now }: Call,
  { groupBy, ...asked }: Asked,
  endpointId: string | undefined,
) {
  const range = rangeAsked(asked, now, groupBy === 'HOUR')
  const groups = await transact(ctx, tenantId, (tx) =>
    sumMetrics(tx, tenantId, range, groupBy, endpointId),
  )
  return toMetrics(groups, groupBy, range, now.getTime())
}
