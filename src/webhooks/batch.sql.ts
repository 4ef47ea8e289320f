import type pg from 'pg'
import { flushQueue } from '#db/worker.ts'
import type { Claimed } from './claim.sql.ts'

/*
 * A *batch* is made by the claim that first takes its deliveries, and keeps its id until it is
 * accepted or given up: it is claimed as a whole or not at all, so that what comes under an id is
 * always the same.
 */

/** Deliveries of a lane with batches that one claim looks at. */
const lookedMax = 500

/** POSTs under way to a lane: those of a batch are one. */
export const inFlightOf = `(
  case when known.batch_events_max is null then (
    select count(*) from delivery_due as leased
    where leased.tenant_id = known.tenant_id and leased.endpoint_id = known.endpoint_id
      and leased.lease_token is not null and leased.leased_until > clock_timestamp()
  ) else (
    select count(distinct coalesce(batch_id, delivery_id)) from delivery_due as leased
    where leased.tenant_id = known.tenant_id and leased.endpoint_id = known.endpoint_id
      and leased.lease_token is not null and leased.leased_until > clock_timestamp()
  ) end)`

/**
 * What goes together in lanes with batches: batches that there are already, whole or not at all, and
 * new ones, which are full or have waited long enough; as many as the lane has room for.
 */
export const batched = `
  batchable as materialized (
    select lane.tenant_id, lane.endpoint_id, lane.room, lane.batch_events_max,
      lane.batch_wait_seconds, due.*
    from open_lanes as lane cross join lateral (
      (select delivery_id, due_at, lease_token, leased_until, batch_id from delivery_due
        where delivery_due.tenant_id = lane.tenant_id
          and delivery_due.endpoint_id = lane.endpoint_id
          and lease_token is null and due_at <= $4 and lane.ordering = 'NONE'
        order by due_at, delivery_id limit ${lookedMax})
      union all
      select delivery_id, due_at, lease_token, leased_until, batch_id from abandoned
      where abandoned.tenant_id = lane.tenant_id
        and abandoned.endpoint_id = lane.endpoint_id and due_at <= $4
        and lane.ordering = 'NONE'
      union all
      select delivery_id, due_at, lease_token, leased_until, batch_id from looked
      where looked.tenant_id = lane.tenant_id
        and looked.endpoint_id = lane.endpoint_id and first_due_at is null
    ) as due
    where lane.batch_events_max is not null and lane.room > 0
  ), made_before as (
    select made.tenant_id, made.endpoint_id, made.room, mate.delivery_id, mate.due_at,
      mate.lease_token, mate.leased_until, made.batch_id
    from (
      select distinct tenant_id, endpoint_id, room, batch_id from batchable
      where batch_id is not null
    ) as made cross join lateral (
      select delivery_id, due_at, lease_token, leased_until,
        bool_or(lease_token is not null and leased_until > clock_timestamp()) over () as is_busy
      from delivery_due as mate
      where mate.tenant_id = made.tenant_id and mate.endpoint_id = made.endpoint_id
        and mate.batch_id = made.batch_id
    ) as mate
    where not mate.is_busy
  ), numbered as (
    select batchable.*, (row_number() over lane - 1) / batch_events_max as number
    from batchable where batch_id is null
    window lane as (partition by tenant_id, endpoint_id order by due_at, delivery_id)
  ), made_now as (
    select tenant_id, endpoint_id, room, delivery_id, due_at, lease_token, leased_until,
      'whb_' || md5($6::text || first_value(delivery_id) over batch) as batch_id,
      count(*) over batch_mates = batch_events_max
        or min(due_at) over batch_mates <= $4 - make_interval(secs => batch_wait_seconds) as goes
    from numbered
    window batch as (partition by tenant_id, endpoint_id, number order by due_at, delivery_id),
      batch_mates as (partition by tenant_id, endpoint_id, number)
  ), batched as (
    select *, dense_rank() over (
      partition by tenant_id, endpoint_id order by batch_due_at, batch_id) as batch_rank
    from (
      select going.*, min(due_at) over mates as batch_due_at
      from (
        select * from made_before
        union all
        select tenant_id, endpoint_id, room, delivery_id, due_at, lease_token, leased_until,
          batch_id
        from made_now where goes
      ) as going
      window mates as (partition by tenant_id, endpoint_id, batch_id)
    ) as sized
  )`

/** Takes deliveries out of their batch: those that were `left` behind wait again, no attempt spent. */
export async function leaveBatch(
  pool: pg.Pool,
  left: readonly Claimed[],
  failed: readonly Claimed[],
): Promise<void> {
  const claims = [...left, ...failed]
  if (claims.length === 0) return
  await flushQueue(pool, [
    {
      name: 'leave_batch',
      text: `
      update delivery_due as due set batch_id = null,
        lease_token = case when c.waits then null else due.lease_token end,
        leased_until = case when c.waits then null else due.leased_until end
      from unnest($1::text[], $2::text[], $3::text[], $4::boolean[])
        as c (tenant_id, delivery_id, token, waits)
      where due.tenant_id = c.tenant_id and due.delivery_id = c.delivery_id
        and due.lease_token = c.token`,
      values: [
        claims.map(({ tenantId }) => tenantId),
        claims.map(({ deliveryId }) => deliveryId),
        claims.map(({ token }) => token),
        claims.map((_, at) => at < left.length),
      ],
    },
  ])
}
