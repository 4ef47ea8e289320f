import { sql } from 'kysely'
import type { Db } from '#db/database.ts'
import { raw, statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import { firstIdAt, type TenantId, timeOf } from '#ids.ts'
import { ages, type Held } from './resumption.ts'

/** A delivery that is held, and its place in the lane. */
export interface Unwanted {
  id: string
  createdOn: string
  dueAt: Date
}

interface Lane {
  tenantId: TenantId
  endpointId: string
}

/** The next deliveries of an endpoint whose events come before one, in the order of the lane, held. */
export async function lockUnwanted(
  tx: Tx,
  { tenantId, endpointId }: Lane,
  firstEventId: string,
  after: Unwanted | undefined,
  limit: number,
): Promise<Unwanted[]> {
  const { rows } = await sql<Unwanted>`
    select delivery_id as id, created_on::text as "createdOn", due_at as "dueAt"
    from delivery_due
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and event_id < ${firstEventId}
      and lease_token is null
      ${after === undefined ? sql`` : sql`and (due_at, delivery_id) > (${after.dueAt}, ${after.id})`}
    order by due_at, delivery_id limit ${limit} for update`.execute(tx)
  return rows
}

/** Those of them that a worker left behind when it died. */
export async function lockAbandoned(
  tx: Tx,
  { tenantId, endpointId }: Lane,
  firstEventId: string,
): Promise<Unwanted[]> {
  const { rows } = await sql<Unwanted>`
    select delivery_id as id, created_on::text as "createdOn", due_at as "dueAt"
    from delivery_due
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and event_id < ${firstEventId}
      and lease_token is not null and leased_until <= clock_timestamp()
    order by delivery_id for update`.execute(tx)
  return rows
}

/** Queues that these are cancelled, since their endpoint goes on without them. */
export function skipDeliveries(
  tx: Tx,
  tenantId: TenantId,
  unwanted: readonly Unwanted[],
  now: Date,
): void {
  const ids = unwanted.map(({ id }) => id)
  const days = unwanted.map(({ createdOn }) => createdOn)
  tx.queue(deliveriesSkip.bind({ tenantId, ids, days, now }))
}

interface Skipped {
  tenantId: TenantId
  ids: readonly string[]
  days: readonly string[]
  now: Date
}

const deliveriesSkip = statement('webhook_deliveries_skip', (a: Skipped) =>
  raw(sql`
    with unwanted as (
      select * from unnest(${a.ids}::text[], ${a.days}::date[]) as u (id, created_on)
    ), withdrawn as (
      delete from delivery_due as due using unwanted
      where due.tenant_id = ${a.tenantId} and due.delivery_id = unwanted.id
    )
    update webhook_delivery as delivery
    set status = 'CANCELLED', skipped_at = ${a.now}::timestamptz
    from unwanted
    where delivery.tenant_id = ${a.tenantId} and delivery.id = unwanted.id
      and delivery.created_on = unwanted.created_on`),
)

/** Counts what is held for an endpoint. It reads a row for each: not for shared connections. */
export async function countHeld(
  db: Db,
  { tenantId, endpointId }: Lane,
  now: Date,
  asked: string | null,
): Promise<Held> {
  const firstWithin = (ms: number) => firstIdAt('evt', now.getTime() - ms)
  const { rows } = await sql<Row>`
    select count(*)::int as "all",
      (count(*) filter (where event_id >= ${firstWithin(ages.HOUR)}))::int as "sinceHour",
      (count(*) filter (where event_id >= ${firstWithin(ages.DAY)}))::int as "sinceDay",
      (count(*) filter (where event_id >= ${firstWithin(ages.WEEK)}))::int as "sinceWeek",
      (count(*) filter (where event_id >= ${asked ?? ''}))::int as "sinceAsked",
      min(event_id) as oldest, max(event_id) as newest
    from delivery_due
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId}
      and (lease_token is null or leased_until <= clock_timestamp())`.execute(db)
  const { oldest, newest, ...counts } = rows[0] as Row
  return {
    ...counts,
    sinceAsked: asked === null ? null : counts.sinceAsked,
    oldestAt: oldest === null ? null : new Date(timeOf(oldest)),
    newestAt: newest === null ? null : new Date(timeOf(newest)),
  }
}

interface Row {
  all: number
  sinceHour: number
  sinceDay: number
  sinceWeek: number
  sinceAsked: number
  oldest: string | null
  newest: string | null
}
