import type pg from 'pg'
import { flushQueueInTwo } from '#db/worker.ts'
import type { Lane } from './claim.sql.ts'
import { type Recorded, recordStatement } from './dispatch.sql.ts'
import { type Columns, fromRow } from './health.sql.ts'
import { type Evidence, type Health, isWell, noteOutcome, saysOfHealth } from './health.ts'
import { nextInOrder } from './order.sql.ts'

/** Whether an outcome changes what is known of its endpoint; that of a healthy one does not. */
export function isTelling({ claimed, attempts }: Recorded): boolean {
  const outcome = attempts.at(-1)?.outcome
  if (!saysOfHealth(outcome)) return false
  return outcome !== 'DELIVERED' || claimed.isWatched
}

/**
 * Records a batch of outcomes, and in the same transaction what they say of their endpoints. Rows of
 * health are held while that is decided, so that workers add up what they know; an outcome whose
 * lease was lost says nothing, nor does one of an endpoint that has moved to another URL.
 */
export async function recordTelling(pool: pg.Pool, batch: readonly Recorded[]): Promise<void> {
  const failed = lanesOf(batch.filter((entry) => isTelling(entry) && entry.next !== 'DELIVERED'))
  const lanes = lanesOf(batch.filter(({ attempts }) => saysOfHealth(attempts.at(-1)?.outcome)))
  const firstFailedAt = new Date(Math.min(...batch.map(({ endedAt }) => endedAt.getTime())))
  const opening = [
    recordStatement(batch, 'tell'),
    {
      name: 'health_begin',
      text: `
      insert into webhook_endpoint_health (tenant_id, endpoint_id, state, since)
      select tenant_id, endpoint_id, 'HEALTHY', $3
      from unnest($1::text[], $2::text[]) as lane (tenant_id, endpoint_id) order by 1, 2
      on conflict do nothing`,
      values: [...columnsOf(failed), firstFailedAt.toISOString()],
    },
    { name: 'health_lock', text: lockText, values: columnsOf(lanes) },
  ]
  await flushQueueInTwo<{ delivery_id: string } & Row>(pool, opening, ([told, , held]) => {
    const ours = new Set(told?.rows.map(({ delivery_id }) => delivery_id))
    const news = batch.filter(({ claimed }) => ours.has(claimed.deliveryId))
    const noted = (held?.rows ?? []).map((row) => noteAll(row, news))
    return [...writesOf(noted), ...nextInOrder(batch)]
  })
}

function lanesOf(batch: readonly Recorded[]): Lane[] {
  const lanes = batch.map(({ claimed: { tenantId, endpointId } }) => ({ tenantId, endpointId }))
  return [...new Map(lanes.map((lane) => [lane.endpointId, lane])).values()]
}

function columnsOf(lanes: readonly Lane[]): string[][] {
  return [lanes.map(({ tenantId }) => tenantId), lanes.map(({ endpointId }) => endpointId)]
}

interface Row extends Columns {
  tenant_id: string
  endpoint_id: string
  url: string
  /** How many of its deliveries may be under way when all is well. */
  in_flight_max: number
}

/** In the order of lanes, so that two workers never wait for each other. */
const lockText = `
  select health.*, endpoint.url, endpoint.in_flight_max
  from unnest($1::text[], $2::text[]) as lane (tenant_id, endpoint_id)
  join webhook_endpoint_health as health using (tenant_id, endpoint_id)
  join webhook_endpoint as endpoint
    on endpoint.tenant_id = lane.tenant_id and endpoint.id = lane.endpoint_id
  order by health.tenant_id, health.endpoint_id for update of health`

interface Noted {
  lane: Lane
  health: Health
  isWell: boolean
}

function noteAll(row: Row, news: readonly Recorded[]): Noted {
  const lane = { tenantId: row.tenant_id, endpointId: row.endpoint_id }
  const about = requestsIn(
    news.filter(({ claimed }) => claimed.endpointId === lane.endpointId && claimed.url === row.url),
  ).toSorted((one, other) => one.endedAt.getTime() - other.endedAt.getTime())
  const before = fromRow(row)
  const health = about.reduce(
    (so, entry) => noteOutcome(so, evidenceOf(entry), row.in_flight_max),
    before,
  )
  return { lane, health, isWell: isWell(health, about.at(-1)?.endedAt ?? health.since) }
}

/** One outcome of each request: the deliveries of a batch share what came of it. */
function requestsIn(news: readonly Recorded[]): Recorded[] {
  const requestOf = ({ claimed, attempts }: Recorded) =>
    `${claimed.batchId ?? claimed.deliveryId} ${attempts.at(-1)?.outcome}`
  return [...new Map(news.map((entry) => [requestOf(entry), entry])).values()]
}

function evidenceOf({ claimed, attempts, retryAfterMs, endedAt }: Recorded): Evidence {
  const last = attempts.at(-1)
  return {
    attemptId: last?.id ?? '',
    deliveryId: claimed.deliveryId,
    outcome: last?.outcome ?? 'INTERRUPTED',
    responseStatus: last?.responseStatus ?? null,
    startedAt: last?.startedAt ?? endedAt,
    ...{ endedAt, retryAfterMs },
  }
}

/** What is well again needs no row. */
function writesOf(noted: readonly Noted[]): pg.QueryConfig[] {
  const [well, others] = [noted.filter((one) => one.isWell), noted.filter((one) => !one.isWell)]
  return [
    {
      name: 'health_forget',
      text: `
      delete from webhook_endpoint_health as health
      using unnest($1::text[], $2::text[]) as lane (tenant_id, endpoint_id)
      where health.tenant_id = lane.tenant_id and health.endpoint_id = lane.endpoint_id`,
      values: columnsOf(well.map(({ lane }) => lane)),
    },
    {
      name: 'health_write',
      text: writeText,
      values: [JSON.stringify(others.map(({ lane, health }) => ({ ...lane, ...health })))],
    },
  ]
}

/** `warned` is not written here: whoever warns says so. */
const writeText = `
  update webhook_endpoint_health as health
  set state = now."state", since = now."since",
    consecutive_failures = now."consecutiveFailures", first_failure_at = now."firstFailureAt",
    last_failure_at = now."lastFailureAt", last_success_at = now."lastSuccessAt",
    last_outcome = now."lastOutcome", failure_share = now."failureShare",
    opened_count = now."openedCount", open_until = now."openUntil",
    paused_until = now."pausedUntil", in_flight_limit = now."inFlightLimit",
    failures = now."failures"
  from jsonb_to_recordset($1::jsonb) as now ("tenantId" text, "endpointId" text, "state" text,
    "since" timestamptz, "consecutiveFailures" integer, "firstFailureAt" timestamptz,
    "lastFailureAt" timestamptz, "lastSuccessAt" timestamptz, "lastOutcome" text,
    "failureShare" double precision, "openedCount" integer, "openUntil" timestamptz,
    "pausedUntil" timestamptz, "inFlightLimit" integer, "failures" jsonb)
  where health.tenant_id = now."tenantId" and health.endpoint_id = now."endpointId"`
