import type { Tx } from '#db/transact.ts'
import { problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { holdClient } from './client.sql.ts'

/** Makes sure that a body names a client that is there and stays (`reference_unknown`). */
export async function requireClient(tx: Tx, tenantId: TenantId, clientId: string): Promise<void> {
  if (await holdClient(tx, tenantId, clientId)) return
  throw problem('reference_unknown', {
    detail: 'There is no such client.',
    errors: [{ pointer: '/clientId', code: 'unknown', message: 'names no client' }],
  })
}
