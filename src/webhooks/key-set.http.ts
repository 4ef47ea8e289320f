import { record } from '#audit/record.ts'
import type { Operation } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { withFreshPair } from './key-pair.ts'
import { findKeySet, lockKeySet, updateKeySet } from './key-set.sql.ts'
import { pairsMax, signsStill, toKeySet } from './key-set.ts'
import { overlapSecondsUsual } from './secret.ts'

export const getWebhookKeySet: Operation<'getWebhookKeySet'> = async (_ctx, call, _request, db) => {
  return { status: 200, body: toKeySet(await findKeySet(db, call.tenantId)) }
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
  const [before, view] = [toKeySet(set), toKeySet(rotated)]
  updateKeySet(tx, call.tenantId, rotated, call.now)
  record(tx, call, 'webhook_key_set.rotated', call.tenantId, { before, after: view })
  return { status: 201, headers: { Location: '/api/v1/webhook-key-set' }, body: view }
}
