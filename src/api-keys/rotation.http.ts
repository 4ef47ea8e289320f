import { record } from '#audit/record.ts'
import { publish } from '#events/publish.ts'
import type { Operation } from '#http/operation.ts'
import { found } from '#http/problem.ts'
import { lockApiKey, updateApiKey as updateRow } from './api-key.sql.ts'
import { revokeApiKey as revoked, rotateApiKey as rotated, statusOf, toApiKey } from './api-key.ts'
import { reachOfCaller } from './caller.sql.ts'
import { kindOf, requireUnrevoked } from './input.ts'
import { reachOf, requireScopes, requireWithin } from './reach.ts'
import { replaceSecret } from './secret.sql.ts'
import { insertSecurityEvent } from './security-event.sql.ts'
import { deedEvent } from './security-event.ts'

export const rotateApiKey: Operation<'rotateApiKey'> = async (ctx, call, { path, body }, tx) => {
  const key = found(await lockApiKey(tx, call.tenantId, path.apiKeyId))
  const own = await reachOfCaller(tx, call)
  requireUnrevoked(key)
  // A new secret for a key that reaches further would be a way there.
  requireWithin(own, reachOf(key))
  const overlapMs = (body?.overlapSeconds ?? 86_400) * 1_000
  const overlapEndsAt = new Date(call.now.getTime() + overlapMs)
  const { key: secret, hash, prefix } = ctx.secrets.newApiKey(kindOf(call))
  const next = rotated(key, prefix, overlapEndsAt, call.now)
  const view = toApiKey(next, call.environment, call.now)

  replaceSecret(tx, call.tenantId, key.id, hash, overlapEndsAt, call.now)
  insertSecurityEvent(tx, call.tenantId, deedEvent(tx.newId('sec'), 'KEY_ROTATED', call, next))
  updateRow(tx, call.tenantId, next, call.now)
  record(tx, call, 'api_key.rotated', key.id, {
    before: { prefix: key.prefix },
    after: { prefix, overlapEndsAt },
  })
  publish(tx, call, 'api_key.rotated', view)
  return {
    status: 201,
    headers: { Location: `/api/v1/api-keys/${key.id}` },
    body: { ...view, key: secret },
  }
}

export const revokeApiKey: Operation<'revokeApiKey'> = async (_ctx, call, { path }, tx) => {
  const key = found(await lockApiKey(tx, call.tenantId, path.apiKeyId))
  if (key.revokedAt !== null) {
    return { status: 200, body: toApiKey(key, call.environment, call.now) }
  }
  // Not from where or until when: in an emergency a key that is bound must be enough.
  requireScopes(call.key.scopes, reachOf(key).scopes)
  const next = revoked(key, call.now)
  const view = toApiKey(next, call.environment, call.now)

  insertSecurityEvent(tx, call.tenantId, deedEvent(tx.newId('sec'), 'KEY_REVOKED', call, next))
  updateRow(tx, call.tenantId, next, call.now)
  record(tx, call, 'api_key.revoked', key.id, {
    before: { status: statusOf(key, call.now) },
    after: { status: view.status },
  })
  publish(tx, call, 'api_key.revoked', view)
  return { status: 200, body: view }
}
