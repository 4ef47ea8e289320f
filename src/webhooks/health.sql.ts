import { type Selectable, sql } from 'kysely'
import type pg from 'pg'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import { flushQueueInTwo } from '#db/worker.ts'
import type { Tables } from '#generated/tables.ts'
import type { TenantId } from '#ids.ts'
import type { Lane } from './claim.sql.ts'
import { type Recorded, recordStatement } from './dispatch.sql.ts'
import type { AttemptOutcome } from './dispatch.ts'
import { failingLimits } from './failing.ts'
import {
  type Evidence,
  type Failure,
  type Health,
  isWell,
  newHealth,
  noteOutcome,
  saysOfHealth,
} from './health.ts'
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

const columns = [
  'state',
  'since',
  'consecutive_failures',
  'first_failure_at',
  'last_failure_at',
  'last_success_at',
  'last_outcome',
  'failure_share',
  'opened_count',
  'open_until',
  'paused_until',
  'in_flight_limit',
  'failures',
  'warned',
  'warned_at',
] as const

type Columns = Pick<Selectable<Tables['webhook_endpoint_health']>, (typeof columns)[number]>

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

function fromRow(row: Columns): Health {
  return {
    state: row.state as Health['state'],
    since: row.since,
    consecutiveFailures: row.consecutive_failures,
    firstFailureAt: row.first_failure_at,
    lastFailureAt: row.last_failure_at,
    lastSuccessAt: row.last_success_at,
    lastOutcome: row.last_outcome as AttemptOutcome | null,
    failureShare: row.failure_share,
    openedCount: row.opened_count,
    openUntil: row.open_until,
    pausedUntil: row.paused_until,
    inFlightLimit: row.in_flight_limit,
    failures: row.failures as unknown as Failure[],
    warned: row.warned,
    warnedAt: row.warned_at,
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

/** What is known of an endpoint that failed lately; of any other, that it is well. */
export async function findHealth(
  db: Db,
  tenantId: TenantId,
  endpointId: string,
  otherwiseSince: Date,
): Promise<Health> {
  const row = await fetchOne(db, healthOf.bind({ tenantId, endpointId }))
  return row === undefined ? newHealth(otherwiseSince) : fromRow(row)
}

const healthOf = statement('webhook_endpoint_health_of', selectOne)

function selectOne(a: { tenantId: string; endpointId: string }) {
  return build
    .selectFrom('webhook_endpoint_health')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('endpoint_id', '=', a.endpointId)
}

/** What is known of an endpoint that failed lately, held until the transaction ends. */
export async function lockHealth(tx: Tx, tenantId: TenantId, endpointId: string) {
  const row = await fetchOne(tx, healthLocked.bind({ tenantId, endpointId }))
  return row && fromRow(row)
}

const healthLocked = statement(
  'webhook_endpoint_health_locked',
  (a: { tenantId: string; endpointId: string }) => selectOne(a).forUpdate(),
)

/** How many of its latest deliveries are looked at for one that was accepted. */
const lookedAt = 100

/** When an endpoint last accepted something, by its latest deliveries. */
export async function findLastSuccess(
  db: Db,
  tenantId: TenantId,
  endpointId: string,
): Promise<Date | null> {
  const row = await fetchOne(db, lastSuccess.bind({ tenantId, endpointId }))
  return row?.at ?? null
}

const lastSuccess = statement(
  'webhook_endpoint_last_success',
  (a: { tenantId: string; endpointId: string }) =>
    build
      .selectFrom((db) =>
        db
          .selectFrom('webhook_delivery')
          .select('delivered_at')
          .where('tenant_id', '=', a.tenantId)
          .where('endpoint_id', '=', a.endpointId)
          .orderBy('id', 'desc')
          .limit(lookedAt)
          .as('latest'),
      )
      .select(sql<Date | null>`max(delivered_at)`.as('at')),
)

interface Warning {
  tenantId: TenantId
  endpointId: string
  warned: number
  warnedAt: Date
}

/** Queues how often the tenant was warned by now. */
export function noteWarning(tx: Tx, warning: Warning): void {
  tx.queue(warningNote.bind({ ...warning }))
}

const warningNote = touchingOne('webhook_endpoint_health_warning', 'conflict', (a: Warning) =>
  build
    .updateTable('webhook_endpoint_health')
    .set({ warned: a.warned, warned_at: a.warnedAt })
    .where('tenant_id', '=', a.tenantId)
    .where('endpoint_id', '=', a.endpointId),
)

/** An endpoint whose health may ask for something to be done. */
export interface Suspect {
  tenantId: TenantId
  endpointId: string
}

/** Those that have failed for long, and those that were told to; what is to be done is decided later. */
export async function findSuspects(
  pool: pg.Pool,
  now: Date,
  after: Suspect | undefined,
  limit: number,
): Promise<Suspect[]> {
  const { rows } = await pool.query<Suspect>(
    `select health.tenant_id as "tenantId", health.endpoint_id as "endpointId"
     from webhook_endpoint_health as health
     join webhook_endpoint as endpoint
       on endpoint.tenant_id = health.tenant_id and endpoint.id = health.endpoint_id
     where endpoint.status = 'ENABLED' and endpoint.deleted_at is null
       and (health.warned > 0 or health.first_failure_at <= $1)
       and (health.tenant_id, health.endpoint_id) > ($2, $3)
     order by health.tenant_id, health.endpoint_id limit $4`,
    [
      new Date(now.getTime() - failingLimits.warn.forMs),
      after?.tenantId ?? '',
      after?.endpointId ?? '',
      limit,
    ],
  )
  return rows
}

export async function countOpenCircuits(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count
     from webhook_endpoint_health as health
     join webhook_endpoint as endpoint
       on endpoint.tenant_id = health.tenant_id and endpoint.id = health.endpoint_id
     where health.opened_count > 0 and endpoint.status = 'ENABLED' and endpoint.deleted_at is null`,
  )
  return rows[0]?.count ?? 0
}

/** A failure that nothing followed is forgotten after so long. */
const forgottenAfterMs = 24 * 60 * 60 * 1_000

/** Forgets what says nothing any more: single failures of the past, and endpoints that are gone. */
export async function pruneHealth(pool: pg.Pool, now: Date): Promise<void> {
  await pool.query(
    `delete from webhook_endpoint_health as health
     where (state = 'HEALTHY' and warned = 0 and coalesce(last_failure_at, since) < $1)
       or exists (select from webhook_endpoint as endpoint
         where endpoint.tenant_id = health.tenant_id and endpoint.id = health.endpoint_id
           and endpoint.deleted_at is not null)`,
    [new Date(now.getTime() - forgottenAfterMs)],
  )
}

/** Queues that what is known of an endpoint holds no more: it moved, or begins anew. */
export function forgetHealth(tx: Tx, tenantId: TenantId, endpointId: string): void {
  tx.queue(healthForget.bind({ tenantId, endpointId }))
}

const healthForget = statement(
  'webhook_endpoint_health_forget',
  (a: { tenantId: string; endpointId: string }) =>
    build
      .deleteFrom('webhook_endpoint_health')
      .where('tenant_id', '=', a.tenantId)
      .where('endpoint_id', '=', a.endpointId),
)
