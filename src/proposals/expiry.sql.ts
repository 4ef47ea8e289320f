import type pg from 'pg'
import { type TenantId, tenantId } from '#ids.ts'

export interface Overdue {
  tenantId: TenantId
  proposalId: string
}

/** Over all tenants, the next offers whose last day has passed and of which nobody was told. */
export async function findOverdue(
  pool: pg.Pool,
  today: string,
  after: Overdue | undefined,
  limit: number,
): Promise<Overdue[]> {
  const { rows } = await pool.query<{ tenant_id: string; id: string }>({
    name: 'proposals_overdue',
    text: `
      select tenant_id, id from proposal
      where status = 'SENT' and expired_at is null and deleted_at is null and valid_until < $1
        and (tenant_id, id) > ($2, $3)
      order by tenant_id, id limit $4`,
    values: [today, after?.tenantId ?? '', after?.proposalId ?? '', limit],
  })
  return rows.map((row) => ({ tenantId: tenantId(row.tenant_id), proposalId: row.id }))
}
