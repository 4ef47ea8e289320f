import type pg from 'pg'
import { flushQueue } from '#db/worker.ts'
import { type Claimed, type Lane, lockClaims } from './claim.sql.ts'
import type { AttemptOutcome } from './dispatch.ts'
import { nextInOrder } from './order.sql.ts'

/** What became of a claimed delivery. */
export interface Recorded {
  claimed: Claimed
  attempts: RecordedAttempt[]
  next: 'DELIVERED' | 'EXHAUSTED' | Date
  /** The schedule's place after this attempt. */
  retryCount: number
  responseStatus: number | null
  /** For how long the endpoint asked to be left alone; 0 when it did not. */
  retryAfterMs: number
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
  /** What was sent as `webhook-id`; null where it is the event's. */
  webhookId: string | null
}

/**
 * Records a batch of outcomes in one statement. Only what is still under the lease that it was
 * claimed with is recorded, so a worker that was paused cannot overwrite a newer attempt.
 */
export async function recordOutcomes(pool: pg.Pool, batch: readonly Recorded[]): Promise<void> {
  await flushQueue(pool, [recordStatement(batch), ...nextInOrder(batch)])
}

/** The statement that records a batch; with `tell` it answers the ids of the deliveries recorded. */
export function recordStatement(batch: readonly Recorded[], tell?: 'tell'): pg.QueryConfig {
  const attempts = batch.flatMap((entry, at) =>
    entry.attempts.map((attempt) => ({ ...attempt, place: at + 1 })),
  )
  return {
    name: tell ? 'record_outcomes_telling' : 'record_outcomes',
    text: tell ? `${recordText} returning delivery_id` : recordText,
    values: [
      batch.map(({ claimed }) => claimed.tenantId),
      batch.map(({ claimed }) => claimed.deliveryId),
      batch.map(({ claimed }) => claimed.createdOn),
      batch.map(({ claimed }) => claimed.token),
      batch.map(({ next }) => (next instanceof Date ? 'PENDING' : next)),
      batch.map(({ next }) => (next instanceof Date ? next.toISOString() : null)),
      batch.map(({ claimed, attempts: made }) => claimed.attemptCount + made.length),
      batch.map(({ retryCount }) => retryCount),
      batch.map(({ responseStatus }) => responseStatus),
      batch.map(({ endedAt }) => endedAt.toISOString()),
      attempts.map(({ place }) => place),
      attempts.map(({ id }) => id),
      attempts.map(({ number }) => number),
      attempts.map(({ startedAt }) => startedAt.toISOString()),
      attempts.map(({ durationMs }) => Math.round(durationMs)),
      attempts.map(({ outcome }) => outcome),
      attempts.map(({ responseStatus }) => responseStatus),
      attempts.map(({ responseBody }) => responseBody),
      attempts.map(({ error }) => error),
      attempts.map(({ address }) => address),
      attempts.map(({ webhookId }) => webhookId),
    ],
  }
}

const recordText = `
  with outcome as (
    select * from unnest($1::text[], $2::text[], $3::date[], $4::text[], $5::text[],
      $6::timestamptz[], $7::int[], $8::int[], $9::int[], $10::timestamptz[]) with ordinality
      as o (tenant_id, delivery_id, created_on, token, becomes, next_at, attempt_count,
        retry_count, response_status, ended_at, place)
  ), done as (
    delete from delivery_due as due using outcome
    where outcome.becomes <> 'PENDING' and due.tenant_id = outcome.tenant_id
      and due.delivery_id = outcome.delivery_id and due.lease_token = outcome.token
    returning outcome.*
  ), again as (
    update delivery_due as due
    set lease_token = null, leased_until = null, due_at = outcome.next_at,
      attempt_count = outcome.attempt_count, retry_count = outcome.retry_count,
      interrupted_at = '{}'
    from outcome
    where outcome.becomes = 'PENDING' and due.tenant_id = outcome.tenant_id
      and due.delivery_id = outcome.delivery_id and due.lease_token = outcome.token
    returning outcome.*
  ), ours as materialized (
    select * from done union all select * from again
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
    outcome, response_status, response_body, error, address, webhook_id)
  select ours.tenant_id, ours.delivery_id, ours.created_on, made.id, made.number, made.started_at,
    made.duration_ms, made.outcome, made.response_status, made.response_body, made.error,
    made.address, made.webhook_id
  from unnest($11::int[], $12::text[], $13::int[], $14::timestamptz[], $15::int[], $16::text[],
    $17::int[], $18::bytea[], $19::text[], $20::text[], $21::text[])
    as made (place, id, number, started_at, duration_ms, outcome, response_status, response_body,
      error, address, webhook_id)
  join ours using (place)`

/** Gives back what a stopping worker did not send: due again at once, no attempt spent. */
export async function releaseLeases(pool: pg.Pool, claims: readonly Claimed[]): Promise<void> {
  await flushQueue(pool, [
    {
      name: 'release_leases',
      text: `
      update delivery_due as due set lease_token = null, leased_until = null
      from unnest($1::text[], $2::text[], $3::text[]) as c (tenant_id, delivery_id, token)
      where due.tenant_id = c.tenant_id and due.delivery_id = c.delivery_id
        and due.lease_token = c.token`,
      values: [
        claims.map((claimed) => claimed.tenantId),
        claims.map((claimed) => claimed.deliveryId),
        claims.map((claimed) => claimed.token),
      ],
    },
  ])
}

/** Gives back all that was claimed under this token, behind any claim that is still under way. */
export async function releaseClaim(pool: pg.Pool, token: string): Promise<void> {
  await flushQueue(pool, [
    lockClaims,
    {
      name: 'release_claim',
      text: `update delivery_due set lease_token = null, leased_until = null
        where lease_token is not null and lease_token = $1`,
      values: [token],
    },
  ])
}

/** Deliveries cancelled in one statement; the others come with the next claim. */
const cancelMax = 500

/** Takes what waits in lanes of deleted endpoints off the work to be done. */
export async function cancelDeliveries(pool: pg.Pool, lanes: readonly Lane[]): Promise<void> {
  await flushQueue(pool, [
    {
      name: 'cancel_deliveries',
      text: `
      with lane as (
        select * from unnest($1::text[], $2::text[]) as l (tenant_id, endpoint_id)
      ), waiting as (
        select due.tenant_id, due.delivery_id
        from lane join delivery_due as due using (tenant_id, endpoint_id)
        where due.lease_token is null
        limit ${cancelMax} for update of due skip locked
      ), abandoned as (
        select due.tenant_id, due.delivery_id
        from lane join delivery_due as due using (tenant_id, endpoint_id)
        where due.lease_token is not null and due.leased_until <= clock_timestamp()
        limit ${cancelMax} for update of due skip locked
      ), withdrawn as (
        delete from delivery_due as due
        using (select * from waiting union all select * from abandoned) as unwanted
        where due.tenant_id = unwanted.tenant_id and due.delivery_id = unwanted.delivery_id
        returning due.tenant_id, due.delivery_id, due.created_on
      )
      update webhook_delivery as delivery set status = 'CANCELLED' from withdrawn
      where delivery.tenant_id = withdrawn.tenant_id and delivery.id = withdrawn.delivery_id
        and delivery.created_on = withdrawn.created_on`,
      values: [lanes.map(({ tenantId }) => tenantId), lanes.map(({ endpointId }) => endpointId)],
    },
  ])
}
