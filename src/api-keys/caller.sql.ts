import type { Tx } from '#db/transact.ts'
import type { Call } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { holdApiKey } from './api-key.sql.ts'
import { statusOf } from './api-key.ts'
import { type Reach, reachOf } from './reach.ts'

/**
 * How far the calling key reaches, as it is now and not as some process has cached it, held until
 * the transaction ends: a key that was revoked, disabled or narrowed a moment ago leaves no
 * successor. Throws `key_revoked` or `key_disabled`. Lock the key that is changed before: it may be
 * this one, and of two that hold it neither could lock it any more.
 */
export async function reachOfCaller(tx: Tx, call: Call): Promise<Reach> {
  const own = await holdApiKey(tx, call.tenantId, call.key.id)
  if (own === undefined) throw problem('key_revoked')
  const status = statusOf(own, call.now)
  if (status === 'REVOKED') throw problem('key_revoked')
  if (status === 'DISABLED') throw problem('key_disabled')
  return reachOf(own)
}
