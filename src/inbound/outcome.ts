import { Counter } from 'prom-client'
import { runFigureWriter } from '#figures/writer.ts'
import type { InboundOutcome } from '#generated/types.ts'
import type { TenantId } from '#ids.ts'
import { perContext } from '#per-context.ts'
import { putMetrics } from './metric.sql.ts'
import { countWebhook, type WebhookFigures } from './metrics.ts'
import type { Source } from './source.ts'

const received = new Counter({
  name: 'ubos_inbound_webhooks_total',
  help: 'Webhooks that were sent to us, by scheme and by what became of them.',
  labelNames: ['scheme', 'outcome'],
})

const givenUp = new Counter({
  name: 'ubos_inbound_figures_given_up_total',
  help: 'Webhooks that are in no figure of their tenant because there were too many sources at once.',
})

/** What this process makes known to tenants of the webhooks that were sent to them. */
export const outcomesOf = perContext((ctx) => {
  const { count, stop } = runFigureWriter<WebhookFigures>(ctx, {
    ...{ name: 'inbound-metrics', none: () => new Map(), put: putMetrics },
    onGivenUp: () => givenUp.inc(),
  })
  return {
    stop,
    /** Tells what became of a webhook: the operator, and the tenant to whom it was sent. */
    tell(tenantId: TenantId, { id: subjectId, scheme }: Source, outcome: InboundOutcome): void {
      const at = ctx.clock.now()
      received.inc({ scheme, outcome: outcome.toLowerCase() })
      count({ tenantId, subjectId }, at, (figures) => countWebhook(figures, outcome, at))
    },
    /** That it was sent to no source, or to one that is disabled. */
    tellStray(source: Source | undefined): void {
      received.inc({ scheme: source?.scheme ?? 'none', outcome: 'no_source' })
    },
  }
})
