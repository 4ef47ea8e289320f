import { Counter } from 'prom-client'
import type { Context } from '#context.ts'
import { runFigureWriter } from '#figures/writer.ts'
import type { Recorded } from './dispatch.sql.ts'
import { putMetrics } from './metric.sql.ts'
import { countAttempt, noAttempts } from './metric.ts'

const givenUp = new Counter({
  name: 'ubos_webhook_figures_given_up_total',
  help: 'Attempts that are in no figure because there were too many endpoints at once.',
})

export interface MetricWriter {
  note(batch: readonly Recorded[]): void
  stop(drainMs: number): Promise<void>
}

/** Adds up what this worker recorded, and writes it down behind it. */
export function runMetricWriter(ctx: Context): MetricWriter {
  const { count, stop } = runFigureWriter(ctx, {
    ...{ name: 'webhook-metrics', none: noAttempts, put: putMetrics },
    onGivenUp: () => givenUp.inc(),
  })
  return {
    note(batch) {
      for (const { claimed, attempts, next, endedAt } of batch) {
        const { tenantId, endpointId: subjectId } = claimed
        for (const [at, { outcome, durationMs }] of attempts.entries()) {
          const isLast = at === attempts.length - 1
          const ended = isLast && !(next instanceof Date) ? next : null
          const counted = { outcome, durationMs, ended }
          count({ tenantId, subjectId }, endedAt, (own) => countAttempt(own, counted))
        }
      }
    },
    stop,
  }
}
