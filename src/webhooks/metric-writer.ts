import { Counter } from 'prom-client'
import type { Context } from '#context.ts'
import { drainWithin } from '#jobs/drain.ts'
import { runLoop } from '#jobs/loop.ts'
import type { Recorded } from './dispatch.sql.ts'
import { putMetrics } from './metric.sql.ts'
import { createMetricTally } from './metric.ts'

/** Figures are so old at most; each time, what changed is written over. */
const writeEveryMs = 2_000

/** Of all endpoints that were written to in the last hours. */
const cellsMax = 50_000
const cellsPerStatement = 1_000

const givenUp = new Counter({
  name: 'ubos_webhook_figures_given_up_total',
  help: 'Attempts that are in no figure because there were too many endpoints at once.',
})

export interface MetricWriter {
  note(batch: readonly Recorded[]): void
  stop(drainMs: number): Promise<void>
}

/** Adds up what this worker recorded, and writes it down behind it. */
export function runMetricWriter({ db, clock, log }: Context): MetricWriter {
  const processId = clock.randomBytes(8).toString('hex')
  const tally = createMetricTally(cellsMax, () => givenUp.inc())

  async function write(): Promise<boolean> {
    const cells = tally.take()
    try {
      while (cells.length > 0) {
        await putMetrics(db.worker, processId, cells.slice(0, cellsPerStatement))
        cells.splice(0, cellsPerStatement)
      }
    } catch (error) {
      tally.putBack(cells)
      throw error
    }
    tally.forget(clock.now().getTime())
    return false
  }

  async function drain(): Promise<void> {
    await loop.stop()
    await write()
  }

  const loop = runLoop({ name: 'webhook-metrics', pass: write, idleMs: writeEveryMs, log })
  return {
    note(batch) {
      for (const { claimed, attempts, next, endedAt } of batch) {
        const { tenantId, endpointId } = claimed
        for (const [at, { outcome, durationMs }] of attempts.entries()) {
          const isLast = at === attempts.length - 1
          const ended = isLast && !(next instanceof Date) ? next : null
          tally.add({ tenantId, endpointId, outcome, durationMs, endedAt, ended })
        }
      }
    },
    stop: (drainMs) => drainWithin(drainMs, drain(), log),
  }
}
