import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import type { WebhookMetricsGrouping } from '#generated/types.ts'
import type { Call, Operation } from '#http/operation.ts'
import { found, problem } from '#http/problem.ts'
import { findEndpoint } from './endpoint.sql.ts'
import { sumMetrics } from './metric.sql.ts'
import { coveredMsMax, rangeOf, toMetrics } from './metrics.ts'

const hourMs = 60 * 60 * 1_000

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
  { from, to, groupBy }: Asked,
  endpointId: string | undefined,
) {
  const nowMs = now.getTime()
  const toMs = Math.min(to === undefined ? nowMs : Date.parse(to), nowMs)
  const fromMs = from === undefined ? toMs - hourMs : Date.parse(from)
  if (fromMs >= toMs) throw outOfRange('must be before `to` and in the past')
  if (toMs - fromMs > coveredMsMax) throw outOfRange('must be at most 31 days before `to`')
  const range = rangeOf(fromMs, toMs, nowMs, groupBy)
  const groups = await transact(ctx, tenantId, (tx) =>
    sumMetrics(tx, tenantId, range, groupBy, endpointId),
  )
  return toMetrics(groups, groupBy, range, nowMs)
}

function outOfRange(message: string) {
  return problem('invalid_request', {
    detail: `from ${message}.`,
    errors: [{ parameter: 'from', code: 'out_of_range', message }],
  })
}
