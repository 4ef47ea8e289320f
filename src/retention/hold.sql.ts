import { sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'
import { eraseLock, type LegalHold, noHold } from './hold.ts'

export async function findHold(db: Db, tenantId: TenantId): Promise<LegalHold> {
  const row = await fetchOne(db, holdByTenant.bind({ tenantId }))
  if (row === undefined) return noHold
  return { reason: row.reason, placedAt: row.placed_at, revision: row.revision }
}

const holdByTenant = statement('legal_hold_by_tenant', (a: { tenantId: TenantId }) =>
  build
    .selectFrom('legal_hold')
    .select(['reason', 'placed_at', 'revision'])
    .where('tenant_id', '=', a.tenantId),
)

/** Lets nobody erase anything until the transaction ends, and waits for those who do. */
export async function stopErasing(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${eraseLock})`.execute(tx)
}

/** Queues a hold; `tx` is inside the tenant's fence. Another change of the same revision is a conflict. */
export function updateHold(tx: Tx, hold: LegalHold): void {
  tx.queue(holdWrite.bind({ tenantId: tx.tenantId, ...hold, revisionBefore: hold.revision - 1 }))
}

const holdWrite = touchingOne(
  'legal_hold_write',
  'conflict',
  (a: LegalHold & { tenantId: TenantId; revisionBefore: number }) =>
    build
      .insertInto('legal_hold')
      .values({
        tenant_id: a.tenantId,
        reason: a.reason,
        placed_at: a.placedAt,
        revision: a.revision,
      })
      .onConflict((conflict) =>
        conflict
          .column('tenant_id')
          .doUpdateSet((row) => ({
            reason: row.ref('excluded.reason'),
            placed_at: row.ref('excluded.placed_at'),
            revision: row.ref('excluded.revision'),
          }))
          .where('legal_hold.revision', '=', a.revisionBefore),
      ),
)
