import type { Operation } from '#http/operation.ts'
import { found } from '#http/problem.ts'
import { findApiKey } from './api-key.sql.ts'
import { riskOf } from './risk.ts'
import { countByDay, countByOperation } from './usage.sql.ts'
import { dayBefore, toUsage } from './usage.ts'

export const getApiKeyUsage: Operation<'getApiKeyUsage'> = async (
  _ctx,
  call,
  { path, query },
  db,
) => {
  const key = found(await findApiKey(db, call.tenantId, path.apiKeyId))
  const since = dayBefore(call.now, query.days - 1)
  const span = { tenantId: call.tenantId, keyId: key.id, since }
  const [days, operations] = await Promise.all([countByDay(db, span), countByOperation(db, span)])
  const until = dayBefore(call.now, 0)
  return { status: 200, body: toUsage(key, { since, until }, days, operations) }
}

export const getApiKeyRisk: Operation<'getApiKeyRisk'> = async (_ctx, call, { path }, db) => {
  const key = found(await findApiKey(db, call.tenantId, path.apiKeyId))
  const since = dayBefore(call.now, 30)
  const operations = await countByOperation(db, { tenantId: call.tenantId, keyId: key.id, since })
  const { score, reasons } = riskOf(key, call.environment, operations, call.now)
  return {
    status: 200,
    body: {
      apiKeyId: key.id,
      riskScore: score,
      riskReasons: reasons,
      assessedAt: call.now.toISOString(),
    },
  }
}
