import type pg from 'pg'
import { flushWorker } from '#db/worker.ts'
import type { TenantId } from '#ids.ts'

/** A delivery under our lease, with all that sending it takes. */
export interface Claimed {
  tenantId: TenantId
  endpointId: string
  deliveryId: string
  createdOn: string
  /** Of this very claim: what came of it is recorded only while the row still bears it. */
  token: string
  eventId: string
  correlationId: string
  traceparent: string | null
  attemptCount: number
  retryCount: number
  dueAt: Date
  /** When the lease of a worker ended that did not record what it did; null is the usual. */
  interruptedAt: Date | null
  url: string
  secret: Buffer
  body: Buffer
}

/** The deliveries of one endpoint wait in a lane of their own. */
export interface Lane {
  tenantId: string
  endpointId: string
}

export interface ClaimRequest {
  token: string
  /** At most so many. */
  limit: number
  /** At most so many of one endpoint under lease at once, over all workers. */
  endpointInFlightMax: number
  /** At most so many of one tenant in this worker, those that it holds already included. */
  tenantInFlightMax: number
  /** How many of each tenant this worker holds. */
  held: ReadonlyMap<TenantId, number>
  leaseMs: number
  now: Date
  /** The lane behind which to begin: the last one of the claim before. */
  after: Lane
}

export interface Claims {
  claimed: Claimed[]
  /** Lanes of deleted endpoints: what waits there will never be sent. */
  deleted: Lane[]
  /** The last lane looked at when there may be more behind it, `noLane` otherwise. */
  after: Lane
}

/** Before the first lane. */
export const noLane: Lane = { tenantId: '', endpointId: '' }

/** Lanes looked at in one claim; the next one goes on behind them. */
const lanesMax = 1_000

/** Held while claiming, so that the caps hold over all workers; a claim takes milliseconds. */
export const lockClaims = {
  name: 'claim_lock',
  text: 'select pg_advisory_xact_lock($1)',
  values: [8_262_002],
}

/**
 * Claims due deliveries fairly: tenant by tenant, within a tenant endpoint by endpoint, within an
 * endpoint the oldest first, and never more of an endpoint or a tenant than its cap.
 */
export async function claimDeliveries(pool: pg.Pool, request: ClaimRequest): Promise<Claims> {
  const client = await pool.connect()
  try {
    const [, , result] = await flushWorker<Claimed & Seen>(client, 'both', [
      lockClaims,
      claimStatement(request),
    ])
    client.release()
    const rows = result?.rows ?? []
    const [first] = rows
    return {
      // What was seen comes on every row, and on a row of its own when nothing was claimed.
      claimed: rows.filter(({ deliveryId }) => deliveryId !== null),
      deleted: first?.deletedLanes ?? [],
      after: first?.lastLane ?? noLane,
    }
  } catch (error) {
    client.release(true)
    throw error
  }
}

interface Seen {
  lastLane: Lane | null
  deletedLanes: Lane[] | null
}

function claimStatement(request: ClaimRequest): pg.QueryConfig {
  const { after, endpointInFlightMax, tenantInFlightMax, held, now, limit, token, leaseMs } =
    request
  return {
    name: 'claim_deliveries',
    text: claimText,
    values: [
      after.tenantId,
      after.endpointId,
      endpointInFlightMax,
      now,
      limit,
      token,
      leaseMs,
      tenantInFlightMax,
      [...held.keys()],
      [...held.values()],
    ],
  }
}

/** From lane to lane by the index, as many as one claim looks at. */
const lanes = `
  recursive lane (tenant_id, endpoint_id) as (
    (select tenant_id, endpoint_id from delivery_due
      where (tenant_id, endpoint_id) > ($1, $2) order by tenant_id, endpoint_id limit 1)
    union all
    select next.tenant_id, next.endpoint_id from lane cross join lateral (
      select tenant_id, endpoint_id from delivery_due as due
      where (due.tenant_id, due.endpoint_id) > (lane.tenant_id, lane.endpoint_id)
      order by due.tenant_id, due.endpoint_id limit 1
    ) as next
  ), lanes as materialized (
    select tenant_id, endpoint_id from lane limit ${lanesMax}
  ), last_lane as (
    select jsonb_build_object('tenantId', tenant_id, 'endpointId', endpoint_id) as place
    from lanes offset ${lanesMax - 1}
  ), deleted_lanes as (
    select jsonb_agg(jsonb_build_object(
      'tenantId', lanes.tenant_id, 'endpointId', lanes.endpoint_id)) as places
    from lanes join webhook_endpoint as endpoint
      on endpoint.tenant_id = lanes.tenant_id and endpoint.id = lanes.endpoint_id
    where endpoint.deleted_at is not null
  )`

const claimText = `
  with ${lanes}, open_lanes as (
    select lanes.tenant_id, lanes.endpoint_id, endpoint.url, endpoint.secret,
      $3 - (
        select count(*) from delivery_due as leased
        where leased.tenant_id = lanes.tenant_id and leased.endpoint_id = lanes.endpoint_id
          and leased.lease_token is not null and leased.leased_until > clock_timestamp()
      ) as room
    from lanes join webhook_endpoint as endpoint
      on endpoint.tenant_id = lanes.tenant_id and endpoint.id = lanes.endpoint_id
    where endpoint.status = 'ENABLED' and endpoint.deleted_at is null
  ), ripe as (
    select open_lanes.*, due.delivery_id, due.due_at, due.lease_token, due.leased_until,
      row_number() over (
        partition by open_lanes.tenant_id, open_lanes.endpoint_id
        order by due.due_at, due.delivery_id) as endpoint_rank
    from open_lanes cross join lateral (
      select delivery_id, due_at, lease_token, leased_until from delivery_due
      where delivery_due.tenant_id = open_lanes.tenant_id
        and delivery_due.endpoint_id = open_lanes.endpoint_id
        and delivery_due.due_at <= $4
        and (delivery_due.lease_token is null
          or delivery_due.leased_until <= clock_timestamp())
      order by due_at, delivery_id limit greatest(open_lanes.room, 0)
    ) as due
  ), ranked as (
    select ripe.*, row_number() over (
      partition by tenant_id order by endpoint_rank, due_at, delivery_id) as tenant_rank
    from ripe
  ), picked as (
    select ranked.* from ranked
    left join unnest($9::text[], $10::int[]) as held (tenant_id, count) using (tenant_id)
    where tenant_rank <= $8 - coalesce(held.count, 0)
    order by tenant_rank, due_at, delivery_id limit $5
  ), claimed as (
    update delivery_due as due
    set lease_token = $6,
      leased_until = clock_timestamp() + make_interval(secs => $7::double precision / 1000)
    from picked
    where due.tenant_id = picked.tenant_id and due.endpoint_id = picked.endpoint_id
      and due.delivery_id = picked.delivery_id
      and due.lease_token is not distinct from picked.lease_token
    returning due.*, picked.url, picked.secret, picked.tenant_rank,
      case when picked.lease_token is not null then picked.leased_until end as interrupted_at
  ), complete as (
    select claimed.*, event.correlation_id, event.traceparent, event.body
    from claimed join event
      on event.tenant_id = claimed.tenant_id and event.id = claimed.event_id
        and event.created_on = claimed.event_created_on
  )
  select last_lane.place as "lastLane", deleted_lanes.places as "deletedLanes",
    complete.tenant_id as "tenantId", complete.endpoint_id as "endpointId",
    complete.delivery_id as "deliveryId", complete.created_on as "createdOn",
    complete.lease_token as "token", complete.event_id as "eventId",
    complete.correlation_id as "correlationId", complete.traceparent,
    complete.attempt_count as "attemptCount",
    complete.retry_count as "retryCount", complete.due_at as "dueAt",
    complete.interrupted_at as "interruptedAt",
    complete.url, complete.secret, complete.body
  from deleted_lanes left join last_lane on true left join complete on true
  order by complete.tenant_rank`
