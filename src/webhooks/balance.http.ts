import type { Operation } from '#http/operation.ts'
import { found } from '#http/problem.ts'
import { findBalance } from './balance.sql.ts'
import { firstDayOf, toBalance } from './balance.ts'
import { findEndpoint } from './endpoint.sql.ts'

export const getWebhookEndpointBalance: Operation<'getWebhookEndpointBalance'> = async (
  _ctx,
  call,
  { path },
  db,
) => {
  const { id } = found(await findEndpoint(db, call.tenantId, path.webhookEndpointId))
  const since = firstDayOf(call.now)
  const balance = await findBalance(db, call.tenantId, id, since)
  return { status: 200, body: toBalance(id, since, balance) }
}
