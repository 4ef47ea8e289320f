import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import { publish } from '#events/publish.ts'
import type { Operation } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { tenantId as idOf } from '#ids.ts'
import { perContext } from '#per-context.ts'
import { withFreshPair } from './key-pair.ts'
import { findKeySet, lockKeySet, updateKeySet } from './key-set.sql.ts'
import { pairsMax, signsStill, toKeySet, toPublicKeys } from './key-set.ts'
import { overlapSecondsUsual } from './secret.ts'

export const getWebhookKeySet: Operation<'getWebhookKeySet'> = async (ctx, call, _request, db) => {
  const set = await findKeySet(db, call.tenantId)
  return { status: 200, body: toKeySet(set, call.tenantId, ctx.config.publicUrl) }
}

/** Strangers ask, and wait for the connections that everybody reads by: more at once come back. */
const lookUpsMax = 20
const lookUps = perContext(() => ({ underWay: 0 }))

/** For those whom the tenant sends to, who have no key of ours. What is public has no fence to keep. */
export const getWebhookPublicKeys: Operation<'getWebhookPublicKeys'> = async (
  ctx,
  call,
  { path },
) => {
  const tenantId = idOf(path.tenantId)
  const set = await lookUp(ctx, () => findKeySet(ctx.db.readers.of(tenantId), tenantId))
  const signing = set.keys.filter((pair) => signsStill(pair, call.now))
  if (signing.length === 0) throw problem('not_found', { detail: 'There are no keys here.' })
  const headers = { 'Cache-Control': 'public, max-age=60' }
  return { status: 200, headers, body: toPublicKeys(signing) }
}

async function lookUp<Found>(ctx: Context, work: () => Promise<Found>): Promise<Found> {
  const counted = lookUps(ctx)
  if (counted.underWay >= lookUpsMax) {
    throw problem('overloaded', {
      detail: 'Too many ask for keys at once. Try again in 1 s.',
      headers: { 'retry-after': '1' },
    })
  }
  counted.underWay += 1
  try {
    return await work()
  } finally {
    counted.underWay -= 1
  }
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
