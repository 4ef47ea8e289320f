import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import type { Claimed } from './claim.sql.ts'
import { lockEndpoint, updateEndpoint } from './endpoint.sql.ts'
import { endpointGone, toEndpoint } from './endpoint.ts'

/**
 * Disables an endpoint that answered 410, and says so; what waits for it is held. An endpoint that
 * has moved to another URL in the meantime has not said anything yet.
 */
export async function disableGone(
  ctx: Context,
  { tenantId, endpointId, url }: Pick<Claimed, 'tenantId' | 'endpointId' | 'url'>,
): Promise<void> {
  const cause = systemCause(ctx, 'dispatcher')
  await transact(ctx, tenantId, async (tx) => {
    const endpoint = await lockEndpoint(tx, tenantId, endpointId)
    if (endpoint?.url !== url || endpoint.status === 'DISABLED') return
    const gone = endpointGone(endpoint, cause.now)
    const view = toEndpoint(gone)

    updateEndpoint(tx, tenantId, gone)
    record(tx, cause, 'webhook_endpoint.disabled', endpointId, {
      before: { status: endpoint.status },
      after: { status: gone.status, disabledReason: gone.disabledReason },
    })
    publish(tx, cause, 'webhook_endpoint.disabled', view)
  })
}
