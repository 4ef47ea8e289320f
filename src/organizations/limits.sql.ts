import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { LimitOverrides } from '#http/limit.ts'
import type { TenantId } from '#ids.ts'
import type { TenantLimits } from './limits.ts'

export async function findLimits(db: Db, tenantId: TenantId): Promise<TenantLimits> {
  const row = await fetchOne(db, limitsByTenant.bind({ tenantId }))
  if (row === undefined) return { overrides: {}, revision: 1 }
  return { overrides: row.overrides as LimitOverrides, revision: row.revision }
}

const limitsByTenant = statement('tenant_limit_by_tenant', (a: { tenantId: TenantId }) =>
  build
    .selectFrom('tenant_limit')
    .select(['overrides', 'revision'])
    .where('tenant_id', '=', a.tenantId),
)

/** Queues limits; `tx` is inside the tenant's fence. Another change of the same revision is a conflict. */
export function updateLimits(tx: Tx, { overrides, revision }: TenantLimits, now: Date): void {
  tx.queue(
    limitsWrite.bind({
      tenantId: tx.tenantId,
      overrides: JSON.stringify(overrides),
      revision,
      revisionBefore: revision - 1,
      now,
    }),
  )
}

interface Written {
  tenantId: TenantId
  overrides: string
  revision: number
  revisionBefore: number
  now: Date
}

const limitsWrite = touchingOne('tenant_limit_write', 'conflict', (a: Written) =>
  build
    .insertInto('tenant_limit')
    .values({
      tenant_id: a.tenantId,
      overrides: a.overrides,
      revision: a.revision,
      updated_at: a.now,
    })
    .onConflict((conflict) =>
      conflict
        .column('tenant_id')
        .doUpdateSet((row) => ({
          overrides: row.ref('excluded.overrides'),
          revision: row.ref('excluded.revision'),
          updated_at: row.ref('excluded.updated_at'),
        }))
        .where('tenant_limit.revision', '=', a.revisionBefore),
    ),
)
