import pg from 'pg'
import type { Context } from '#context.ts'
import { batchMax, unheld } from './erase.sql.ts'

/*
 * Days are dropped as a whole, once they are older than their table keeps rows. A day waits while
 * something in it is still needed; one that holds rows of a tenant under a legal hold stays for as
 * long as that holds, and loses the rows of all others.
 */

/** Tables whose days are dropped: deliveries before their attempts. */
const tables = [
  'webhook_delivery',
  'attempt',
  'event',
  'request_log',
  'audit',
  'inbound_receipt',
] as const

interface Day {
  table: (typeof tables)[number]
  day: string
}

/** Whether something of a day is still to be done: told, delivered, chained. */
const isNeeded: Record<Day['table'], string> = {
  webhook_delivery: 'exists (select from delivery_due where created_on = $1)',
  attempt: 'exists (select from delivery_due where created_on = $1)',
  event: `exists (select from event_pending where created_on = $1)
    or exists (select from delivery_due where event_created_on = $1)`,
  request_log: 'false',
  inbound_receipt: 'false',
  audit: 'exists (select from audit_pending where created_on = $1)',
}

/** How often a lock is tried for, and how long the others have the table to themselves between. */
const tries = { most: 8, pauseMs: 250 }

export async function dropOldDays(ctx: Context): Promise<void> {
  for (const day of await findOldDays(ctx)) {
    const held = await dropOrHold(ctx, day)
    if (held.length > 0) await clearOthers(ctx, day)
  }
}

async function findOldDays({ db, clock }: Context): Promise<Day[]> {
  const { rows } = await db.worker.query<Day>(
    `select parent.relname as table, to_char(day, 'YYYY-MM-DD') as day
     from pg_inherits
     join pg_class as parent on parent.oid = inhparent and parent.relkind = 'p'
     join pg_class as child on child.oid = inhrelid
     cross join lateral to_date(substring(child.relname from '_([0-9]{8})$'), 'YYYYMMDD') as day
     where parent.relname = any($2) and parent.relnamespace = 'public'::regnamespace
       and day < (least($1, clock_timestamp()) at time zone 'UTC')::date
         - ubos_kept_days(parent.relname)
     order by array_position($2, parent.relname::text), day`,
    [clock.now(), tables],
  )
  return rows
}

/** Drops a day unless it is needed or held; answers the tenants whose rows must be kept. */
async function dropOrHold(ctx: Context, day: Day): Promise<string[]> {
  for (let count = 1; ; count += 1) {
    try {
      return await unheld(ctx.db.worker, (client) => judgeDay(ctx, client, day))
    } catch (error) {
      const isLocked = error instanceof pg.DatabaseError && error.code === '55P03'
      if (!isLocked) throw error
      if (count === tries.most) {
        ctx.log.warn(day, 'a day is too old, but its table is never free: tried again in an hour')
        return []
      }
      await new Promise((resolve) => setTimeout(resolve, tries.pauseMs))
    }
  }
}

async function judgeDay({ log }: Context, client: pg.PoolClient, day: Day): Promise<string[]> {
  const { rows } = await client.query<{ isNeeded: boolean; held: string[] }>(
    `select ${isNeeded[day.table]} as "isNeeded", array(
       select tenant_id from legal_hold as hold where reason is not null and exists (
         select from ${day.table} as kept
         where kept.tenant_id = hold.tenant_id and kept.created_on = $1)) as held`,
    [day.day],
  )
  const [found] = rows
  if (found === undefined || found.isNeeded) {
    log.warn(day, 'a day is too old, but something in it is still to be done')
    return []
  }
  if (found.held.length > 0) return found.held
  const dropped = await client.query<{ ms: number | null }>(
    'select ubos_drop_partition($1, $2) as ms',
    [day.table, day.day],
  )
  log.info({ ...day, lockedMs: dropped.rows[0]?.ms }, 'a day was dropped')
  return []
}

/** Deletes from a day what belongs to tenants without a hold; who is held is asked each time. */
async function clearOthers({ db }: Context, { table, day }: Day): Promise<void> {
  for (;;) {
    const { rows } = await unheld(db.worker, (client) =>
      client.query<{ cleared: number }>(
        `select ubos_clear_partition($1, $2, array(
           select tenant_id from legal_hold where reason is not null), $3) as cleared`,
        [table, day, batchMax],
      ),
    )
    if ((rows[0]?.cleared ?? 0) < batchMax) return
  }
}
