import type { Db } from '#db/database.ts'
import type { TenantId } from '#ids.ts'

/** The last position of the tenant's stream; 0 before the first. */
export async function findHead(db: Db, tenantId: TenantId): Promise<number> {
  const [row] = await db
    .selectFrom('stream_head')
    .select('position')
    .where('tenant_id', '=', tenantId)
    .execute()
  return Number(row?.position ?? 0)
}
