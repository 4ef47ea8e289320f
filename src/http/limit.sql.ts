import type pg from 'pg'
import type { TenantId } from '#ids.ts'

/** What this process let a bucket spend since it last said so. */
export interface Spending {
  tenantId: TenantId
  bucket: string
  spentMs: number
}

/**
 * Adds what was spent to what others spent, and answers each bucket's moment as it is now, in the
 * order asked. In the order of their names, so that two processes never wait for each other.
 */
export async function exchangeSpending(
  pool: pg.Pool,
  nowMs: number,
  spendings: readonly Spending[],
): Promise<number[]> {
  const { rows } = await pool.query<{ arrival_ms: number }>({
    name: 'quota_spent_exchange',
    text: `
      with spending as (
        select * from unnest($1::text[], $2::text[], $3::float8[])
          with ordinality as s (tenant_id, bucket, spent_ms, place)
      ), merged as (
        insert into quota_spent (tenant_id, bucket, arrival_ms)
        select tenant_id, bucket, $4::float8 + spent_ms from spending order by tenant_id, bucket
        on conflict (tenant_id, bucket) do update
          set arrival_ms = greatest(quota_spent.arrival_ms, $4::float8)
            + excluded.arrival_ms - $4::float8
        returning tenant_id, bucket, arrival_ms
      )
      select merged.arrival_ms from spending join merged using (tenant_id, bucket) order by place`,
    values: [
      spendings.map(({ tenantId }) => tenantId),
      spendings.map(({ bucket }) => bucket),
      spendings.map(({ spentMs }) => spentMs),
      nowMs,
    ],
  })
  return rows.map((row) => row.arrival_ms)
}
