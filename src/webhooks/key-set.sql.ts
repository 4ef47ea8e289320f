import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import { lockTenant } from '#db/tenant-lock.sql.ts'
import type { Tx } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'
import { emptyKeySet, type KeyPair, type KeySet } from './key-set.ts'

export async function findKeySet(db: Db, tenantId: TenantId): Promise<KeySet> {
  const row = await fetchOne(db, keySetByTenant.bind({ tenantId }))
  if (row === undefined) return emptyKeySet
  return { keys: row.keys as KeyPair[], revision: row.revision }
}

/** The set, held against other changes until the transaction ends, also while there is no row of it. */
export async function lockKeySet(tx: Tx, tenantId: TenantId): Promise<KeySet> {
  await lockTenant(tx, tenantId)
  return await findKeySet(tx, tenantId)
}

const keySetByTenant = statement('webhook_key_set_by_tenant', (a: { tenantId: TenantId }) =>
  build
    .selectFrom('webhook_key_set')
    .select(['keys', 'revision'])
    .where('tenant_id', '=', a.tenantId),
)

/** Queues a set; another change of the same revision is a conflict. */
export function updateKeySet(tx: Tx, tenantId: TenantId, set: KeySet, now: Date): void {
  const { keys, revision } = set
  const revisionBefore = revision - 1
  tx.queue(
    keySetWrite.bind({ tenantId, keys: JSON.stringify(keys), revision, revisionBefore, now }),
  )
}

interface Written {
  tenantId: TenantId
  keys: string
  revision: number
  revisionBefore: number
  now: Date
}

const keySetWrite = touchingOne('webhook_key_set_write', 'conflict', (a: Written) =>
  build
    .insertInto('webhook_key_set')
    .values({ tenant_id: a.tenantId, keys: a.keys, revision: a.revision, updated_at: a.now })
    .onConflict((conflict) =>
      conflict
        .column('tenant_id')
        .doUpdateSet((row) => ({
          keys: row.ref('excluded.keys'),
          revision: row.ref('excluded.revision'),
          updated_at: row.ref('excluded.updated_at'),
        }))
        .where('webhook_key_set.revision', '=', a.revisionBefore),
    ),
)
