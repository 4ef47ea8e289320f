import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import type { Tx } from '#db/transact.ts'
import type { WebhookSignatureScheme } from '#generated/types.ts'
import type { Call } from '#http/operation.ts'
import { lockKeySet, updateKeySet } from './key-set.sql.ts'
import { type KeySet, keyPairPlace, toKeySet, withNewPair } from './key-set.ts'

/** Sees to it that there is a key pair once an endpoint is signed for by one. */
export async function requireKeyPair(
  ctx: Context,
  tx: Tx,
  call: Call,
  schemes: readonly WebhookSignatureScheme[],
): Promise<void> {
  if (!schemes.includes('V1A')) return
  const set = await lockKeySet(tx, call.tenantId)
  if (set.keys.length > 0) return
  const first = withFreshPair(ctx, tx, call, set, 0)
  updateKeySet(tx, call.tenantId, first, call.now)
  const view = toKeySet(first, call.tenantId, ctx.config.publicUrl)
  record(tx, call, 'webhook_key_set.created', call.tenantId, { after: view })
}

export function withFreshPair(
  { secrets }: Context,
  tx: Tx,
  { tenantId, now }: Call,
  set: KeySet,
  overlapMs: number,
): KeySet {
  const id = tx.newId('wsk')
  const { seed, publicKey } = secrets.newKeyPair()
  const sealed = secrets.seal(keyPairPlace(tenantId, id), seed)
  return withNewPair(set, { id, publicKey, sealed }, overlapMs, now)
}
