import { type Selectable, sql } from 'kysely'
import type pg from 'pg'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import type { TenantId } from '#ids.ts'
import type { AttemptOutcome } from './dispatch.ts'
import { failingLimits } from './failing.ts'
import { type Failure, type Health, newHealth } from './health.ts'

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

export type Columns = Pick<Selectable<Tables['webhook_endpoint_health']>, (typeof columns)[number]>

export function fromRow(row: Columns): Health {
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
