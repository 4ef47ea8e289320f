import type pg from 'pg'
import { flushWorker } from '../db/worker.ts'
import type { TenantId } from '../ids.ts'
import type { AttemptOutcome } from './dispatch.ts'

/** A delivery under our lease, with all that sending it takes. */
export interface Claimed {
  tenantId: TenantId
  endpointId: string
  deliveryId: string
  createdOn: string
  eventId: string
  correlationId: string
  attemptCount: number
  retryCount: number
  /** When the lease of a worker ended that did not record what it did; null is the usual. */
  interruptedAt: Date | null
  url: string
  secret: Buffer
  body: Buffer
}

export interface ClaimRequest {
  token: string
  /** At most so many. */
  limit: number
  /** At most so many of one endpoint under lease at once, over all workers. */
  endpointInFlightMax: number
  leaseMs: number
  now: Date
  /** The lane behind which to begin: the last one of the claim before. */
  after: { tenantId: string; endpointId: string }
}

/** Lanes looked at in one claim; the next one goes on behind them. */
export const lanesMax = 1_000

/** Held while claiming, so that the caps hold over all workers; a claim takes milliseconds. */
const claimLock = 8_262_002

/**
 * Claims due deliveries fairly: tenant by tenant, within a tenant endpoint by endpoint, within an
 * endpoint the oldest first, and never more of an endpoint than its cap. Answers what was claimed,
 * and the last lane looked at when there may be more lanes behind it.
 */
export async function claimDeliveries(
  pool: pg.Pool,
  request: ClaimRequest,
): Promise<{ claimed: Claimed[]; after: ClaimRequest['after'] }> {
  const client = await pool.connect()
  try {
    const [, , lanes, claimed] = await flushWorker(client, 'both', [
      { name: 'claim_lock', text: 'select pg_advisory_xact_lock($1)', values: [claimLock] },
      lastLaneStatement(request),
      claimStatement(request),
    ])
    client.release()
    const [last] = lanes?.rows ?? []
    return {
      claimed: (claimed?.rows ?? []) as Claimed[],
      after: {
        tenantId: last?.tenant_id ?? '',
        endpointId: last?.endpoint_id ?? '',
      },
    }
  } catch (error) {
    client.release(true)
    throw error
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
  ), lanes as materialized (select tenant_id, endpoint_id from lane limit ${lanesMax})`

function lastLaneStatement({ after }: ClaimRequest): pg.QueryConfig {
  return {
    name: 'claim_last_lane',
    text: `
      with ${lanes}
      select tenant_id, endpoint_id from lanes offset ${lanesMax - 1}`,
    values: [after.tenantId, after.endpointId],
  }
}

function claimStatement(request: ClaimRequest): pg.QueryConfig {
  const { after, endpointInFlightMax, now, limit, token, leaseMs } = request
  return {
    name: 'claim_deliveries',
    text: `
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
        select * from ranked order by tenant_rank, due_at, delivery_id limit $5
      ), claimed as (
        update delivery_due as due
        set lease_token = $6,
          leased_until = clock_timestamp() + make_interval(secs => $7::double precision / 1000)
        from picked
        where due.tenant_id = picked.tenant_id and due.endpoint_id = picked.endpoint_id
          and due.delivery_id = picked.delivery_id
        returning due.*, picked.url, picked.secret, picked.tenant_rank,
          case when picked.lease_token is not null then picked.leased_until end as interrupted_at
      )
      select claimed.tenant_id as "tenantId", claimed.endpoint_id as "endpointId",
        claimed.delivery_id as "deliveryId", claimed.created_on as "createdOn",
        claimed.event_id as "eventId", event.correlation_id as "correlationId",
        claimed.attempt_count as "attemptCount", claimed.retry_count as "retryCount",
        claimed.interrupted_at as "interruptedAt", claimed.url, claimed.secret, event.body
      from claimed join event
        on event.tenant_id = claimed.tenant_id and event.id = claimed.event_id
          and event.created_on = claimed.event_created_on
      order by claimed.tenant_rank`,
    values: [after.tenantId, after.endpointId, endpointInFlightMax, now, limit, token, leaseMs],
  }
}

/** What became of a claimed delivery. */
export interface Recorded {
  claimed: Claimed
  token: string
  attempts: RecordedAttempt[]
  next: 'DELIVERED' | 'EXHAUSTED' | Date
  /** The schedule's place after this attempt. */
  retryCount: number
  responseStatus: number | null
  endedAt: Date
}

export interface RecordedAttempt {
  id: string
  number: number
  startedAt: Date
  durationMs: number
  outcome: AttemptOutcome
  responseStatus: number | null
  responseBody: Buffer | null
  error: string | null
  address: string | null
}

/**
 * Records a batch of outcomes in one statement. Only what is still under the lease that it was
 * claimed with is recorded, so a worker that was paused cannot overwrite a newer attempt. A retry
 * for an endpoint that was disabled in the meantime is held; for a deleted one it is cancelled.
 */
export async function recordOutcomes(pool: pg.Pool, batch: readonly Recorded[]): Promise<void> {
  const attempts = batch.flatMap((entry) =>
    entry.attempts.map((attempt) => ({ ...attempt, claimed: entry.claimed })),
  )
  await pool.query({
    name: 'record_outcomes',
    text: recordText,
    values: [
      batch.map(({ claimed }) => claimed.tenantId),
      batch.map(({ claimed }) => claimed.endpointId),
      batch.map(({ claimed }) => claimed.deliveryId),
      batch.map(({ claimed }) => claimed.createdOn),
      batch.map(({ token }) => token),
      batch.map(({ next }) => (next instanceof Date ? 'PENDING' : next)),
      batch.map(({ next }) => (next instanceof Date ? next.toISOString() : null)),
      batch.map(({ claimed, attempts: made }) => claimed.attemptCount + made.length),
      batch.map(({ retryCount }) => retryCount),
      batch.map(({ responseStatus }) => responseStatus),
      batch.map(({ endedAt }) => endedAt.toISOString()),
      attempts.map(({ claimed }) => claimed.tenantId),
      attempts.map(({ claimed }) => claimed.deliveryId),
      attempts.map(({ claimed }) => claimed.createdOn),
      attempts.map(({ id }) => id),
      attempts.map(({ number }) => number),
      attempts.map(({ startedAt }) => startedAt.toISOString()),
      attempts.map(({ durationMs }) => Math.round(durationMs)),
      attempts.map(({ outcome }) => outcome),
      attempts.map(({ responseStatus }) => responseStatus),
      attempts.map(({ responseBody }) => responseBody),
      attempts.map(({ error }) => error),
      attempts.map(({ address }) => address),
    ],
  })
}

const recordText = `
  with outcome as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::text[], $6::text[],
      $7::timestamptz[], $8::int[], $9::int[], $10::int[], $11::timestamptz[])
      as o (tenant_id, endpoint_id, delivery_id, created_on, token, status, next_at,
        attempt_count, retry_count, response_status, ended_at)
  ), ours as materialized (
    select outcome.*, case
        when outcome.status <> 'PENDING' then outcome.status
        when endpoint.deleted_at is not null then 'CANCELLED'
        when endpoint.status = 'DISABLED' then 'HELD'
        else 'PENDING' end as becomes
    from outcome
    join delivery_due as due
      on due.tenant_id = outcome.tenant_id and due.endpoint_id = outcome.endpoint_id
        and due.delivery_id = outcome.delivery_id and due.lease_token = outcome.token
    join webhook_endpoint as endpoint
      on endpoint.tenant_id = outcome.tenant_id and endpoint.id = outcome.endpoint_id
    for update of due
  ), done as (
    delete from delivery_due as due using ours
    where ours.becomes <> 'PENDING' and due.tenant_id = ours.tenant_id
      and due.endpoint_id = ours.endpoint_id and due.delivery_id = ours.delivery_id
  ), again as (
    update delivery_due as due
    set lease_token = null, leased_until = null, due_at = ours.next_at,
      attempt_count = ours.attempt_count, retry_count = ours.retry_count
    from ours
    where ours.becomes = 'PENDING' and due.tenant_id = ours.tenant_id
      and due.endpoint_id = ours.endpoint_id and due.delivery_id = ours.delivery_id
  ), delivery as (
    update webhook_delivery as delivery
    set status = ours.becomes, attempt_count = ours.attempt_count,
      last_attempt_at = ours.ended_at, last_response_status = ours.response_status,
      delivered_at = case when ours.becomes = 'DELIVERED' then ours.ended_at end
    from ours
    where delivery.tenant_id = ours.tenant_id and delivery.id = ours.delivery_id
      and delivery.created_on = ours.created_on
  )
  insert into attempt (tenant_id, delivery_id, created_on, id, number, started_at, duration_ms,
    outcome, response_status, response_body, error, address)
  select attempt.* from unnest($12::text[], $13::text[], $14::date[], $15::text[], $16::int[],
    $17::timestamptz[], $18::int[], $19::text[], $20::int[], $21::bytea[], $22::text[], $23::text[])
    as attempt (tenant_id, delivery_id, created_on, id, number, started_at, duration_ms, outcome,
      response_status, response_body, error, address)
  join ours on ours.tenant_id = attempt.tenant_id and ours.delivery_id = attempt.delivery_id`

/** Gives back what a stopping worker did not send: due again at once, no attempt spent. */
export async function releaseLeases(pool: pg.Pool, claims: readonly Claimed[], token: string) {
  await pool.query({
    name: 'release_leases',
    text: `
      update delivery_due as due set lease_token = null, leased_until = null
      from unnest($1::text[], $2::text[], $3::text[]) as c (tenant_id, endpoint_id, delivery_id)
      where due.tenant_id = c.tenant_id and due.endpoint_id = c.endpoint_id
        and due.delivery_id = c.delivery_id and due.lease_token = $4`,
    values: [
      claims.map((claimed) => claimed.tenantId),
      claims.map((claimed) => claimed.endpointId),
      claims.map((claimed) => claimed.deliveryId),
      token,
    ],
  })
}

/**
 * Holds what became due for a disabled endpoint, and cancels it for a deleted one: the sequencer may
 * have matched an event in the very moment in which the endpoint was switched off.
 */
export async function withdrawUnwanted(pool: pg.Pool): Promise<void> {
  await pool.query({
    name: 'withdraw_unwanted',
    text: `
      with unwanted as (
        delete from delivery_due as due using webhook_endpoint as endpoint
        where endpoint.tenant_id = due.tenant_id and endpoint.id = due.endpoint_id
          and (endpoint.status = 'DISABLED' or endpoint.deleted_at is not null)
          and (due.lease_token is null or due.leased_until <= clock_timestamp())
        returning due.tenant_id, due.delivery_id, due.created_on,
          case when endpoint.deleted_at is null then 'HELD' else 'CANCELLED' end as becomes
      )
      update webhook_delivery as delivery set status = unwanted.becomes from unwanted
      where delivery.tenant_id = unwanted.tenant_id and delivery.id = unwanted.delivery_id
        and delivery.created_on = unwanted.created_on`,
  })
}
