import { sql } from 'kysely'
import type pg from 'pg'
import type { Db } from '#db/database.ts'
import { raw, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import { dayOf, type TenantId } from '#ids.ts'
import type { Balance } from './balance.ts'

const counted = [
  'matched',
  'pending',
  'sending',
  'delivered',
  'held',
  'exhausted',
  'cancelled',
  'missing',
] as const

const sums = counted.map((name) => `coalesce(sum(${name}), 0)::float8 as ${name}`).join(', ')

/** What was matched with the endpoint since a day, and what became of it. */
export async function findBalance(
  db: Db,
  tenantId: TenantId,
  endpointId: string,
  since: string,
): Promise<Balance> {
  const { rows } = await sql<Balance>`select ${sql.raw(sums)} from webhook_balance
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and day >= ${since}`.execute(db)
  return rows[0] as Balance
}

/** An endpoint with a day on which more, or less, became of what was matched. */
export interface Imbalance extends Balance {
  tenantId: TenantId
  endpointId: string
  day: string
  /** How much was told to be missing before. */
  told: number
}

/** The days between these two on which something was matched or made. */
export async function findDays(pool: pg.Pool, first: string, last: string): Promise<string[]> {
  const { rows } = await pool.query<{ day: string }>(
    `select to_char(day, 'YYYY-MM-DD') as day
     from generate_series($1::timestamp, $2::timestamp, '1 day') as day
     where day::date in (select known.day from webhook_matched as known)
       or exists (select from webhook_delivery where created_on = day::date)
     order by 1`,
    [first, last],
  )
  return rows.map(({ day }) => day)
}

/** What is out of balance on one day, and what was and is not any more. */
export async function findImbalances(pool: pg.Pool, day: string): Promise<Imbalance[]> {
  const { rows } = await pool.query<Imbalance>(
    `select balance.tenant_id as "tenantId", balance.endpoint_id as "endpointId",
       to_char(day, 'YYYY-MM-DD') as day,
       ${counted.map((name) => `balance.${name}::float8`).join(', ')},
       coalesce(known.told, 0)::float8 as told
     from webhook_balance as balance left join webhook_matched as known
       using (tenant_id, endpoint_id, day)
     where day = $1 and (balance.missing <> 0 or known.told <> 0)
     order by 1, 2`,
    [day],
  )
  return rows
}

/** Remembers what is told, so that it is told once; ends the transaction where somebody else told it. */
export function noteTold(tx: Tx, imbalance: Imbalance): void {
  const { tenantId, endpointId, day, missing, told } = imbalance
  tx.queue(toldNote.bind({ tenantId, endpointId, day, missing, told }))
}

const toldNote = touchingOne(
  'webhook_told_note',
  'conflict',
  (a: Pick<Imbalance, 'tenantId' | 'endpointId' | 'day' | 'missing' | 'told'>) =>
    raw(sql`
    insert into webhook_matched as known (tenant_id, endpoint_id, day, matched, told)
    values (${a.tenantId}, ${a.endpointId}, ${a.day}, 0, ${a.missing})
    on conflict (tenant_id, endpoint_id, day) do update set told = excluded.told
    where known.told = ${a.told}`),
)

/** Counts what is decided apart from fan-out: deliveries, each with its endpoint. */
export function countMatched(
  tx: Tx,
  tenantId: TenantId,
  ids: readonly string[],
  endpointIds: readonly string[],
): void {
  for (const [day, matched] of Map.groupBy(endpointIds, (_, at) => dayOf(ids[at] ?? ''))) {
    tx.queue(matchedCount.bind({ tenantId, day, endpointIds: matched }))
  }
}

const matchedCount = statement(
  'webhook_matched_count',
  (a: { tenantId: TenantId; day: string; endpointIds: readonly string[] }) =>
    raw(sql`
        insert into webhook_matched as known (tenant_id, endpoint_id, day, matched)
        select ${a.tenantId}, endpoint_id, ${a.day}::date, count(*)
        from unnest(${a.endpointIds}::text[]) as made (endpoint_id) group by endpoint_id order by 2
        on conflict (tenant_id, endpoint_id, day)
          do update set matched = known.matched + excluded.matched`),
)

/** Forgets what was matched on days whose deliveries may be gone. */
export async function pruneMatched(pool: pg.Pool, before: string): Promise<void> {
  await pool.query('delete from webhook_matched where day < $1', [before])
}
