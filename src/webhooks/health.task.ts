import { Gauge } from 'prom-client'
import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import { lockEndpoint, updateEndpoint } from './endpoint.sql.ts'
import { endpointFailing, toEndpoint } from './endpoint.ts'
import { measureOf } from './failing.ts'
import {
  countOpenCircuits,
  findSuspects,
  lockHealth,
  noteWarning,
  pruneHealth,
  type Suspect,
} from './health.sql.ts'
import { toHealth } from './health-info.ts'

const openCircuits = new Gauge({
  name: 'ubos_webhook_circuits_open',
  help: 'Endpoints that failed so often in a row that only probes are sent to them.',
})

const batchMax = 500

/**
 * Warns of endpoints that go on failing, disables those that failed for too long, and tells of those
 * that recovered. What was told is in the row of health, written where it is told: nothing is told
 * twice, whoever looks. One that cannot be told of keeps no other waiting.
 */
export async function watchHealth(ctx: Context): Promise<void> {
  let after: Suspect | undefined
  for (;;) {
    const suspects = await findSuspects(ctx.db.worker, ctx.clock.now(), after, batchMax)
    for (const suspect of suspects) {
      await take(ctx, suspect).catch((error) =>
        ctx.log.error({ err: error, ...suspect }, 'a failing endpoint was not told of'),
      )
    }
    after = suspects.at(-1)
    if (suspects.length < batchMax) break
  }
  openCircuits.set(await countOpenCircuits(ctx.db.worker))
  await pruneHealth(ctx.db.worker, ctx.clock.now())
}

/** Does what its health asks for by now, if that is anything. */
async function take(ctx: Context, { tenantId, endpointId }: Suspect): Promise<void> {
  const cause = systemCause(ctx, 'timetable')
  await transact(ctx, tenantId, async (tx) => {
    const endpoint = await lockEndpoint(tx, tenantId, endpointId)
    if (endpoint === undefined || endpoint.status === 'DISABLED') return
    const health = await lockHealth(tx, tenantId, endpointId)
    if (health === undefined) return
    const viewOf = (warned: number) =>
      toHealth(endpoint, { ...health, warned, warnedAt: cause.now }, cause.now)

    switch (measureOf(health, cause.now)) {
      case 'WARN': {
        const warned = health.warned + 1
        noteWarning(tx, { tenantId, endpointId, warned, warnedAt: cause.now })
        record(tx, cause, 'webhook_endpoint.failing', endpointId, { after: viewOf(warned) })
        publish(tx, cause, 'webhook_endpoint.failing', viewOf(warned))
        return
      }
      case 'RECOVER':
        noteWarning(tx, { tenantId, endpointId, warned: 0, warnedAt: cause.now })
        record(tx, cause, 'webhook_endpoint.recovered', endpointId, { after: viewOf(0) })
        publish(tx, cause, 'webhook_endpoint.recovered', viewOf(0))
        return
      case 'DISABLE': {
        const disabled = endpointFailing(endpoint, cause.now)
        updateEndpoint(tx, tenantId, disabled)
        record(tx, cause, 'webhook_endpoint.disabled', endpointId, {
          before: { status: endpoint.status },
          after: { status: disabled.status, disabledReason: disabled.disabledReason },
        })
        publish(tx, cause, 'webhook_endpoint.disabled', toEndpoint(disabled))
      }
    }
  })
}
