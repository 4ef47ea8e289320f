import { transact } from '#db/transact.ts'
import type { Operation } from '#http/operation.ts'
import { found } from '#http/problem.ts'
import { findBalance } from './balance.sql.ts'
import { firstDayOf, toBalance } from './balance.ts'
import { findEndpoint } from './endpoint.sql.ts'

export const getWebhookEndpointBalance: Operation<'getWebhookEndpointBalance'> = async (
  ctx,
  call,
  { path },
  db,
) => {
  const { id } = found(await findEndpoint(db, call.tenantId, path.webhookEndpointId))
  const since = firstDayOf(call.now)
  // It reads a row for each delivery: on a connection of its own, so that no other read waits for it.
  const balance = await transact(ctx, call.tenantId, (tx) =>
    findBalance(tx, call.tenantId, id, since),
  )
  return { status: 200, body: toBalance(id, since, balance) }
}
