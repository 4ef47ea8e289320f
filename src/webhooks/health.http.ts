import type { Operation } from '#http/operation.ts'
import { found } from '#http/problem.ts'
import { findEndpoint } from './endpoint.sql.ts'
import { findHealth, findLastSuccess } from './health.sql.ts'
import { toHealth } from './health-info.ts'

export const getWebhookEndpointHealth: Operation<'getWebhookEndpointHealth'> = async (
  _ctx,
  call,
  { path },
  db,
) => {
  const endpoint = found(await findEndpoint(db, call.tenantId, path.webhookEndpointId))
  const health = await findHealth(db, call.tenantId, endpoint.id, endpoint.createdAt)
  const lastSuccessAt =
    health.lastSuccessAt ?? (await findLastSuccess(db, call.tenantId, endpoint.id))
  const view = toHealth(endpoint, { ...health, lastSuccessAt }, call.now)
  return { status: 200, body: view }
}
