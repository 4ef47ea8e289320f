import { Gauge } from 'prom-client'
import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import { problemOf } from '#db/errors.ts'
import { transact } from '#db/transact.ts'
import { systemCause } from '#http/operation.ts'
import { findDays, findImbalances, type Imbalance, noteTold, pruneMatched } from './balance.sql.ts'
import { firstDayOf } from './balance.ts'

const missingDeliveries = new Gauge({
  name: 'ubos_webhook_deliveries_missing',
  help: 'Deliveries that were matched and are in no state, or made without having been matched.',
})

/**
 * Holds what was matched against what became of it, a day at a time. What does not add up goes into
 * the metric and, once, into the audit of the tenant; so does that it adds up again.
 */
export async function checkBalance(ctx: Context): Promise<void> {
  const now = ctx.clock.now()
  const [first, last] = [firstDayOf(now), now.toISOString().slice(0, 10)]
  let missing = 0
  for (const day of await findDays(ctx.db.worker, first, last)) {
    for (const imbalance of await findImbalances(ctx.db.worker, day)) {
      missing += Math.abs(imbalance.missing)
      if (imbalance.missing !== imbalance.told) await tell(ctx, imbalance)
    }
  }
  missingDeliveries.set(missing)
  await pruneMatched(ctx.db.worker, first)
}

async function tell(ctx: Context, imbalance: Imbalance): Promise<void> {
  const { tenantId, endpointId, told, ...after } = imbalance
  ctx.log.error({ ...imbalance }, 'webhook deliveries do not add up')
  const telling = transact(ctx, tenantId, async (tx) => {
    const cause = systemCause(ctx, 'timetable')
    const change = { before: { missing: told }, after }
    record(tx, cause, 'webhook_endpoint.unbalanced', endpointId, change)
    noteTold(tx, imbalance)
  })
  await telling.catch((error) => {
    // Another worker looks at the same time, and was faster.
    if (problemOf(error)?.code !== 'conflict') throw error
  })
}
