import type { TenantId } from '#ids.ts'
import { build } from './database.ts'
import { statement } from './statement.ts'
import type { Tx } from './transact.ts'

/**
 * Holds the tenant's row until the transaction ends, so that of those who count what it has, in order
 * to add to it, one goes after the other.
 */
export async function lockTenant(tx: Tx, tenantId: TenantId): Promise<void> {
  await tx.executeQuery(tenantLock.bind({ tenantId }))
}

const tenantLock = statement('tenant_lock', (a: { tenantId: TenantId }) =>
  build
    .selectFrom('tenant')
    .select('tenant_id')
    .where('tenant_id', '=', a.tenantId)
    .forNoKeyUpdate(),
)
