import { sql } from 'kysely'
import type pg from 'pg'
import { raw, statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'
import type { Recorded } from './dispatch.sql.ts'

/*
 * An endpoint may want *order*: of its deliveries with one key the first goes out, by the positions of
 * their events, and the others wait. A claim looks at the oldest that are due; those that are not the
 * first of their key it puts off, so that no claim looks at them again and again. Whoever records that
 * the first is done makes the next one due. What is put off comes by itself a little later, too: nothing
 * waits for good for somebody else to call it.
 */

/** Deliveries of an ordered lane that one claim looks at. */
const lookedMax = 200
const putOffSecondsMin = 2
const putOffSecondsMax = 60

/** The oldest due of lanes that want order, each with the first of its key, if that is another. */
export const looked = `
  looked as materialized (
    select lane.tenant_id, lane.endpoint_id, due.*, first.due_at as first_due_at
    from open_lanes as lane cross join lateral (
      (select delivery_id, due_at, lease_token, leased_until, order_key, position, batch_id
        from delivery_due
        where delivery_due.tenant_id = lane.tenant_id
          and delivery_due.endpoint_id = lane.endpoint_id
          and lease_token is null and due_at <= $4
        order by due_at, delivery_id limit ${lookedMax})
      union all
      select delivery_id, due_at, lease_token, leased_until, order_key, position, batch_id
      from abandoned
      where abandoned.tenant_id = lane.tenant_id
        and abandoned.endpoint_id = lane.endpoint_id and due_at <= $4
    ) as due left join lateral (
      select due_at from delivery_due as earlier
      where earlier.tenant_id = lane.tenant_id and earlier.endpoint_id = lane.endpoint_id
        and earlier.order_key = due.order_key
        and (earlier.position, earlier.delivery_id) < (due.position, due.delivery_id)
      order by earlier.position, earlier.delivery_id limit 1
    ) as first on true
    where lane.ordering = 'RESOURCE' and lane.room > 0
  )`

/**
 * Those that are not the first of their key come back when it may be done. By their places, which are
 * looked up one by one: mostly there are none, and no plan may go through all that waits to see it.
 */
export const putOff = `
  put_off as (
    update delivery_due as due
    set due_at = greatest($4 + interval '${putOffSecondsMin} seconds',
      least(first_due_at, $4 + interval '${putOffSecondsMax} seconds'))
    from (
      select looked.first_due_at, waiting.place from looked cross join lateral (
        select ctid as place from delivery_due
        where tenant_id = looked.tenant_id and delivery_id = looked.delivery_id
          and lease_token is null offset 0
      ) as waiting
      where first_due_at is not null and looked.lease_token is null
    ) as later
    where due.ctid = later.place and due.lease_token is null
  )`

/** Behind the record of outcomes: of the keys that are done with, the next is due. */
export function nextInOrder(batch: readonly Recorded[]): pg.QueryConfig[] {
  const done = batch.filter(({ claimed, next }) => claimed.orderKey && !(next instanceof Date))
  if (done.length === 0) return []
  return [
    {
      name: 'next_in_order',
      text: `
      update delivery_due as due set due_at = done.at
      from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
        as done (tenant_id, endpoint_id, order_key, at)
      cross join lateral (
        select delivery_id from delivery_due as waiting
        where waiting.tenant_id = done.tenant_id and waiting.endpoint_id = done.endpoint_id
          and waiting.order_key = done.order_key
        order by position, delivery_id limit 1
      ) as next
      where due.tenant_id = done.tenant_id and due.delivery_id = next.delivery_id
        and due.lease_token is null and due.retry_count = 0 and due.due_at > done.at`,
      values: [
        done.map(({ claimed }) => claimed.tenantId),
        done.map(({ claimed }) => claimed.endpointId),
        done.map(({ claimed }) => claimed.orderKey),
        done.map(({ endedAt }) => endedAt.toISOString()),
      ],
    },
  ]
}

/** Deliveries that take their place when an endpoint begins to want order. */
const placedMax = 10_000

/** The endpoint wants order from now on, also of what waits already. */
export function placeWaiting(tx: Tx, tenantId: TenantId, endpointId: string): void {
  tx.queue(waitingPlace.bind({ tenantId, endpointId }))
}

const waitingPlace = statement(
  'webhook_waiting_place',
  (a: { tenantId: TenantId; endpointId: string }) =>
    raw(sql`
      update delivery_due as due set order_key = place.order_key, position = place.position
      from (
        select delivery_id, event_id, event_created_on from delivery_due
        where tenant_id = ${a.tenantId} and endpoint_id = ${a.endpointId} and order_key is null
        order by due_at, delivery_id limit ${sql.lit(placedMax)} for update
      ) as waiting cross join lateral ubos_order_of(
        ${a.tenantId}, ${a.endpointId}, waiting.event_id, waiting.event_created_on) as place
      where due.tenant_id = ${a.tenantId} and due.delivery_id = waiting.delivery_id`),
)
