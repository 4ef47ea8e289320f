import { record } from '#audit/record.ts'
import { publish } from '#events/publish.ts'
import type { Operation } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { tenantId as idOf } from '#ids.ts'
import { withFreshPair } from './key-pair.ts'
import { findKeySet, lockKeySet, updateKeySet } from './key-set.sql.ts'
import { pairsMax, signsStill, toKeySet, toPublicKeys } from './key-set.ts'
import { overlapSecondsUsual } from './secret.ts'

export const getWebhookKeySet: Operation<'getWebhookKeySet'> = async (ctx, call, _request, db) => {
  const set = await findKeySet(db, call.tenantId)
  return { status: 200, body: toKeySet(set, call.tenantId, ctx.config.publicUrl) }
}

/** For those whom the tenant sends to, who have no key of ours. What is public has no fence to keep. */
export const getPublicWebhookKeys: Operation<'getPublicWebhookKeys'> = async (
  { db },
  _call,
  { path },
) => {
  const tenantId = idOf(path.tenantId)
  const set = await findKeySet(db.readers.of(tenantId), tenantId)
  if (set.keys.length === 0) throw problem('not_found', { detail: 'There are no keys here.' })
  return { status: 200, body: toPublicKeys(set) }
}

export const rotateWebhookKeySet: Operation<'rotateWebhookKeySet'> = async (
  ctx,
  call,
  { body },
  tx,
) => {
  const set = await lockKeySet(tx, call.tenantId)
  const overlapMs = (body?.overlapSeconds ?? overlapSecondsUsual) * 1_000
  const rotated = withFreshPair(ctx, tx, call, set, overlapMs)
  if (rotated.keys.filter((pair) => signsStill(pair, call.now)).length > pairsMax) {
    const detail = `At most ${pairsMax} key pairs sign at once. Rotate with a shorter overlap.`
    throw problem('limit_reached', { detail })
  }
  const { publicUrl } = ctx.config
  const before = toKeySet(set, call.tenantId, publicUrl)
  const view = toKeySet(rotated, call.tenantId, publicUrl)
  updateKeySet(tx, call.tenantId, rotated, call.now)
  record(tx, call, 'webhook_key_set.rotated', call.tenantId, { before, after: view })
  publish(tx, call, 'webhook_key_set.rotated', view)
  return { status: 201, headers: { Location: '/api/v1/webhook-key-set' }, body: view }
}
