import type pg from 'pg'
import { flushQueue } from '#db/worker.ts'
import type { AllowedHosts } from '#egress/hosts.ts'
import type { TenantId } from '#ids.ts'
import { batched, inFlightOf } from './batch.sql.ts'
import type { CustomHeader } from './custom-header.ts'
import type { KeyPair } from './key-set.ts'
import { looked, putOff } from './order.sql.ts'
import { paced, paces } from './pace.sql.ts'
import type { FormerSecret } from './secret.ts'

/** A delivery under our lease, with all that sending it takes. */
export interface Claimed {
  tenantId: TenantId
  endpointId: string
  deliveryId: string
  createdOn: string
  /** Of this very claim: what came of it is recorded only while the row still bears it. */
  token: string
  eventId: string
  /** What it is sent together with; null is nothing. */
  batchId: string | null
  /** Of its event, for one in a batch. */
  position: number | null
  /** What it is about, for an endpoint that wants order. */
  orderKey: string | null
  /** What the endpoint hears as `webhook-id`. */
  webhookId: string
  correlationId: string
  traceparent: string | null
  attemptCount: number
  retryCount: number
  /** The endpoint's own schedule, or its tenant's; null is the usual. */
  retryDelaysSeconds: readonly number[] | null
  dueAt: Date
  /** When leases ended whose workers did not record what they did; none is the usual. */
  interruptedAt: readonly Date[]
  /** Whether its endpoint failed lately, so that a success says something, too. */
  isWatched: boolean
  url: string
  /** To which hosts anything may go out for the tenant. */
  allowedHosts: AllowedHosts
  /** The newest, sealed. */
  secret: Buffer
  formerSecrets: readonly FormerSecret[] | null
  headers: readonly CustomHeader[] | null
  signatureSchemes: readonly ('V1' | 'V1A')[]
  /** Of the tenant, for an endpoint that wants `V1A`. */
  keyPairs: readonly KeyPair[] | null
  /** What makes of the event what is sent. */
  transformation: string | null
  /** Whether there ever was such a thing, so that the delivery may keep what was made. */
  hasTransformed: boolean
  /** The event's. */
  body: Buffer
}

/** The deliveries of one endpoint wait in a lane of their own. */
export interface Lane {
  tenantId: string
  endpointId: string
}

export interface ClaimRequest {
  token: string
  /** At most so many, and the rest of the last batch. */
  limit: number
  /** At most so many of one endpoint under lease at once, over all workers, whatever it says. */
  endpointInFlightMax: number
  /** At most so many of one tenant in this claim, … */
  tenantRoom: number
  /** … but of these, of which this worker holds some already, or who let others go first; 0 is none. */
  tenantRooms: ReadonlyMap<TenantId, number>
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

/** Planning a claim takes longer than several claims, which others wait for. */
const plansKeptMs = 60_000

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
  const statements = [lockClaims, claimStatement(request)]
  const [, result] = await flushQueue<Claimed & Seen>(pool, statements, plansKeptMs)
  const rows = result?.rows ?? []
  const [first] = rows
  return {
    // What was seen comes on every row, and on a row of its own when nothing was claimed.
    claimed: rows.filter(({ deliveryId }) => deliveryId !== null),
    deleted: first?.deletedLanes ?? [],
    after: first?.lastLane ?? noLane,
  }
}

interface Seen {
  lastLane: Lane | null
  deletedLanes: Lane[] | null
}

function claimStatement(request: ClaimRequest): pg.QueryConfig {
  const { after, endpointInFlightMax, tenantRoom, tenantRooms } = request
  return {
    name: 'claim_deliveries',
    text: claimText,
    values: [
      after.tenantId,
      after.endpointId,
      endpointInFlightMax,
      request.now,
      request.limit,
      request.token,
      request.leaseMs,
      tenantRoom,
      [...tenantRooms.keys()],
      [...tenantRooms.values()],
    ],
  }
}

/**
 * From lane to lane by the index, as many as one claim looks at; and the lanes in which a lease has
 * ended without a record, which are few.
 */
const lanes = `
  recursive walked (tenant_id, endpoint_id) as (
    (select tenant_id, endpoint_id from delivery_due
      where lease_token is null and (tenant_id, endpoint_id) > ($1, $2)
      order by tenant_id, endpoint_id limit 1)
    union all
    select next.tenant_id, next.endpoint_id from walked cross join lateral (
      select tenant_id, endpoint_id from delivery_due as due
      where due.lease_token is null
        and (due.tenant_id, due.endpoint_id) > (walked.tenant_id, walked.endpoint_id)
      order by due.tenant_id, due.endpoint_id limit 1
    ) as next
  ), waiting as materialized (
    select tenant_id, endpoint_id from walked limit ${lanesMax}
  ), last_lane as (
    select jsonb_build_object('tenantId', tenant_id, 'endpointId', endpoint_id) as place
    from waiting offset ${lanesMax - 1}
  ), abandoned as materialized (
    select tenant_id, endpoint_id, delivery_id, due_at, lease_token, leased_until, order_key,
      position, batch_id
    from delivery_due where lease_token is not null and leased_until <= clock_timestamp()
  ), lanes as materialized (
    select tenant_id, endpoint_id from waiting
    union select tenant_id, endpoint_id from abandoned
  ), known as materialized (
    select lanes.*, endpoint.* from lanes
    left join unnest($9::text[], $10::int[]) as holder (tenant_id, room) using (tenant_id)
    cross join lateral (
      select status, deleted_at, in_flight_max, rate_count, rate_seconds, ordering, batch_events_max,
        batch_wait_seconds
      from webhook_endpoint
      where tenant_id = lanes.tenant_id and id = lanes.endpoint_id offset 0
    ) as endpoint where coalesce(holder.room, $8) > 0
  ), deleted_lanes as (
    select jsonb_agg(jsonb_build_object('tenantId', tenant_id, 'endpointId', endpoint_id)) as places
    from known where deleted_at is not null
  )`

/** What is known of endpoints that failed lately; the others have no row (`health.ts`). */
const healthOfKnown = `
    left join lateral (
      select true as is_watched, in_flight_limit, greatest(open_until, paused_until) as until
      from webhook_endpoint_health
      where tenant_id = known.tenant_id and endpoint_id = known.endpoint_id offset 0
    ) as health on true`

/** Nothing goes to an endpoint whose circuit is open, or that asked to be left alone. */
const isLetThrough = `(health.until is null or health.until <= $4)`

/** Each lane's oldest, as many as it has room for, ranked first in their lane, then in their tenant. */
const ripe = `${paces}, open_lanes as materialized (
    select known.tenant_id, known.endpoint_id, known.ordering, known.batch_events_max,
      known.batch_wait_seconds, health.is_watched, least(
        least(known.in_flight_max, health.in_flight_limit, $3) - ${inFlightOf},
        paces.tokens) as room,
      -- Twice an even share of its tenant's lanes is enough to choose from; one alone may give all.
      ceil(2.0 * $5 / count(*) over (partition by known.tenant_id))::integer as share
    from known left join paces using (tenant_id, endpoint_id) ${healthOfKnown}
    where known.status = 'ENABLED' and known.deleted_at is null and ${isLetThrough}
  ), ${looked}, ${putOff}, ${batched}, ripe as (
    select open_lanes.tenant_id, open_lanes.is_watched, due.*, null::text as batch_id,
      due.due_at as unit_due_at, due.delivery_id as unit_id
    from open_lanes cross join lateral (
      select candidate.*, row_number() over (order by due_at, delivery_id) as endpoint_rank
      from (
        (select delivery_id, due_at, lease_token, leased_until from delivery_due
          where delivery_due.tenant_id = open_lanes.tenant_id
            and delivery_due.endpoint_id = open_lanes.endpoint_id
            and lease_token is null and due_at <= $4 and open_lanes.ordering = 'NONE'
            and open_lanes.batch_events_max is null
          order by due_at, delivery_id limit greatest(least(open_lanes.room, open_lanes.share), 0))
        union all
        select delivery_id, due_at, lease_token, leased_until from abandoned
        where abandoned.tenant_id = open_lanes.tenant_id
          and abandoned.endpoint_id = open_lanes.endpoint_id and due_at <= $4
          and open_lanes.ordering = 'NONE' and open_lanes.batch_events_max is null
        union all
        select delivery_id, due_at, lease_token, leased_until from looked
        where looked.tenant_id = open_lanes.tenant_id
          and looked.endpoint_id = open_lanes.endpoint_id and first_due_at is null
          and open_lanes.batch_events_max is null
      ) as candidate
      order by due_at, delivery_id limit greatest(least(open_lanes.room, open_lanes.share), 0)
    ) as due
    union all
    select batched.tenant_id, lane.is_watched, delivery_id, due_at, lease_token, leased_until,
      batch_rank, batch_id, batch_due_at, batch_id
    from batched join open_lanes as lane using (tenant_id, endpoint_id)
    where batch_rank <= batched.room
  ), ranked as (
    -- Those of a batch have one rank, which counts what is before them: they come together or not.
    select ripe.*, rank() over (
      partition by tenant_id order by endpoint_rank, unit_due_at, unit_id) as tenant_rank
    from ripe
  )`

/** `offset 0` keeps the planner from looking for a tenant's rows first and for the row afterwards. */
const claimText = `
  with ${lanes}, ${ripe}, picked as (
    select * from (
      select ranked.*, rank() over (order by tenant_rank, unit_due_at, unit_id) as overall_rank
      from ranked
      left join unnest($9::text[], $10::int[]) as holder (tenant_id, room) using (tenant_id)
      where tenant_rank <= coalesce(holder.room, $8)
    ) as allowed where overall_rank <= $5
  ), claimed as (
    update delivery_due as due
    set lease_token = $6,
      leased_until = clock_timestamp() + make_interval(secs => $7::double precision / 1000),
      interrupted_at = case when picked.lease_token is null then due.interrupted_at
        else due.interrupted_at || picked.leased_until end,
      batch_id = picked.batch_id
    from picked
    where due.tenant_id = picked.tenant_id and due.delivery_id = picked.delivery_id
      and due.lease_token is not distinct from picked.lease_token
    returning due.*, picked.tenant_rank, picked.is_watched
  ), ${paced}, complete as (
    select claimed.*, endpoint.url, endpoint.secret, endpoint.former_secrets,
      endpoint.signature_schemes, endpoint.key_pairs, endpoint.headers, endpoint.transformation,
      endpoint.has_transformed, endpoint.retry_delays, event.correlation_id, event.traceparent,
      event.body, place.event_position,
      (select allowed_hosts from egress_policy where tenant_id = claimed.tenant_id) as allowed_hosts
    from claimed cross join lateral (
      select url, secret, former_secrets, signature_schemes, headers, transformation,
        has_transformed,
        coalesce(retry_delays_seconds, (
          select retry_delays_seconds from webhook_settings where tenant_id = claimed.tenant_id
        )) as retry_delays,
        case when 'V1A' = any (signature_schemes) then (
          select keys from webhook_key_set where tenant_id = claimed.tenant_id
        ) end as key_pairs
      from webhook_endpoint
      where tenant_id = claimed.tenant_id and id = claimed.endpoint_id offset 0
    ) as endpoint cross join lateral (
      select correlation_id, traceparent, body from event
      where tenant_id = claimed.tenant_id and id = claimed.event_id
        and created_on = claimed.event_created_on offset 0
    ) as event left join lateral (
      select position as event_position from event_position
      where claimed.batch_id is not null and tenant_id = claimed.tenant_id
        and event_id = claimed.event_id offset 0
    ) as place on true
  )
  select last_lane.place as "lastLane", deleted_lanes.places as "deletedLanes",
    complete.tenant_id as "tenantId", complete.endpoint_id as "endpointId",
    complete.delivery_id as "deliveryId", complete.created_on as "createdOn",
    complete.lease_token as "token", complete.event_id as "eventId",
    complete.batch_id as "batchId", complete.event_position::float8 as "position",
    complete.order_key as "orderKey",
    coalesce(complete.batch_id, complete.message_id, complete.event_id) as "webhookId",
    complete.correlation_id as "correlationId", complete.traceparent,
    complete.attempt_count as "attemptCount",
    complete.retry_count as "retryCount", complete.retry_delays as "retryDelaysSeconds",
    complete.due_at as "dueAt", complete.interrupted_at as "interruptedAt",
    coalesce(complete.is_watched, false) as "isWatched",
    complete.url, complete.allowed_hosts as "allowedHosts",
    complete.secret, complete.former_secrets as "formerSecrets",
    complete.signature_schemes as "signatureSchemes", complete.key_pairs as "keyPairs",
    complete.headers, complete.transformation, complete.has_transformed as "hasTransformed",
    complete.body
  from deleted_lanes left join last_lane on true left join complete on true
  order by complete.tenant_rank`
