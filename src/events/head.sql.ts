import type { Context } from '#context.ts'
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

/** The same of many tenants at once, for whoever follows several. */
export async function findHeads(
  { db }: Pick<Context, 'db'>,
  tenantIds: readonly TenantId[],
): Promise<Map<TenantId, number>> {
  const { rows } = await db.worker.query<{ tenant_id: TenantId; position: string }>({
    name: 'stream_heads',
    text: 'select tenant_id, position from stream_head where tenant_id = any($1)',
    values: [tenantIds],
  })
  return new Map(rows.map((row) => [row.tenant_id, Number(row.position)]))
}
