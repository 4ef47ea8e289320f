import { sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { raw, statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import { dayOf, type TenantId } from '#ids.ts'
import type { Attempt, Delivery } from './delivery.ts'

function selectDeliveries(db: Db, tenantId: TenantId) {
  return db
    .selectFrom('webhook_delivery as delivery')
    .leftJoin('delivery_due as due', (join) =>
      join
        .onRef('due.tenant_id', '=', 'delivery.tenant_id')
        .onRef('due.endpoint_id', '=', 'delivery.endpoint_id')
        .onRef('due.delivery_id', '=', 'delivery.id'),
    )
    .leftJoin('webhook_endpoint as endpoint', (join) =>
      join
        .onRef('endpoint.tenant_id', '=', 'delivery.tenant_id')
        .onRef('endpoint.id', '=', 'delivery.endpoint_id'),
    )
    .leftJoin('webhook_endpoint_health as health', (join) =>
      join
        .onRef('health.tenant_id', '=', 'due.tenant_id')
        .onRef('health.endpoint_id', '=', 'due.endpoint_id'),
    )
    .select([
      'delivery.id',
      'delivery.endpoint_id as endpointId',
      'delivery.event_id as eventId',
      'delivery.event_type as eventType',
      sql<string>`coalesce(delivery.message_id, delivery.event_id)`.as('webhookId'),
      statusOfDelivery.as('status'),
      'delivery.attempt_count as attemptCount',
      nextAttemptOfDelivery.as('nextAttemptAt'),
      'delivery.last_attempt_at as lastAttemptAt',
      'delivery.delivered_at as deliveredAt',
      'delivery.last_response_status as lastResponseStatus',
      'delivery.created_at as createdAt',
      'due.retry_count as retryCount',
      inFlightAtEndpoint.as('inFlight'),
      sql<number>`coalesce(endpoint.in_flight_max, 0)`.as('inFlightMax'),
      rateSpentAtEndpoint.as('isRateSpent'),
      isBehindAnother.as('isBehind'),
      batchWaitOfDelivery.as('batchWaitSeconds'),
      'endpoint.disabled_at as endpointDisabledAt',
      'endpoint.deleted_at as endpointDeletedAt',
      'delivery.skipped_at as skippedAt',
      'health.since as endpointStateSince',
      'health.open_until as endpointOpenUntil',
      'health.paused_until as endpointPausedUntil',
      'health.in_flight_limit as endpointInFlightLimit',
    ])
    .where('delivery.tenant_id', '=', tenantId)
}

/**
 * Written down is only what was promised and how it ended. A promise under a lease is being sent;
 * otherwise it is as its endpoint is, so that switching one off and on moves no delivery.
 */
const statusOfDelivery = sql<string>`case
  when delivery.status <> 'PENDING' then delivery.status
  when due.leased_until > clock_timestamp() then 'SENDING'
  when endpoint.deleted_at is not null then 'CANCELLED'
  when endpoint.status = 'DISABLED' then 'HELD'
  else 'PENDING' end`

/** Attempts at the endpoint that are under way; only what waits asks. */
const inFlightAtEndpoint = sql<number>`case when due.delivery_id is null then 0 else (
  select count(distinct coalesce(leased.batch_id, leased.delivery_id))::int
  from delivery_due as leased
  where leased.tenant_id = due.tenant_id and leased.endpoint_id = due.endpoint_id
    and leased.lease_token is not null and leased.leased_until > clock_timestamp()) end`

/** For how long it waits for others; a batch that was made already waits no more. */
const batchWaitOfDelivery = sql<number | null>`case
  when due.batch_id is null then endpoint.batch_wait_seconds end`

/** Whether the endpoint's rate is spent for now; only what waits for one that has a rate asks. */
const rateSpentAtEndpoint = sql<boolean>`case
  when due.delivery_id is null or endpoint.rate_count is null then false else exists (
    select from webhook_pace as pace
    where pace.tenant_id = due.tenant_id and pace.endpoint_id = due.endpoint_id
      and pace.next_at > clock_timestamp()) end`

/** Whether an earlier one about the same resource is to go out first; only those in order ask. */
const isBehindAnother = sql<boolean>`case
  when due.order_key is null or endpoint.ordering <> 'RESOURCE' then false else exists (
    select from delivery_due as earlier
    where earlier.tenant_id = due.tenant_id and earlier.endpoint_id = due.endpoint_id
      and earlier.order_key = due.order_key
      and (earlier.position, earlier.delivery_id) < (due.position, due.delivery_id)) end`

/** What is held or cancelled has no next attempt. */
const nextAttemptOfDelivery = sql<Date | null>`case
  when due.leased_until > clock_timestamp()
    or (endpoint.status = 'ENABLED' and endpoint.deleted_at is null) then due.due_at end`

export async function findDelivery(
  db: Db,
  tenantId: TenantId,
  id: string,
): Promise<Delivery | undefined> {
  const [row] = await selectDelivery(db, tenantId, id).execute()
  return row as Delivery | undefined
}

/** The delivery, held against other changes until the transaction ends. */
export async function lockDelivery(
  tx: Tx,
  tenantId: TenantId,
  id: string,
): Promise<Delivery | undefined> {
  const [row] = await selectDelivery(tx, tenantId, id).forNoKeyUpdate('delivery').execute()
  return row as Delivery | undefined
}

function selectDelivery(db: Db, tenantId: TenantId, id: string) {
  return selectDeliveries(db, tenantId)
    .where('delivery.id', '=', id)
    .where('delivery.created_on', '=', dayOf(id))
}

export interface DeliveryFilter extends CreationFilter {
  endpointId?: string | undefined
  eventId?: string | undefined
  webhookId?: string | undefined
  eventType?: string | undefined
  status?: Delivery['status'] | undefined
  isDelivered?: boolean | undefined
}

export async function pageDeliveries(
  db: Db,
  tenantId: TenantId,
  filter: DeliveryFilter,
  page: PageRequest,
): Promise<Delivery[]> {
  const columns = { prefix: 'whd', id: 'delivery.id', createdAt: 'delivery.created_at' } as const
  let query = inOrderOfCreation(selectDeliveries(db, tenantId), columns, filter, page)
  const { endpointId, eventId, webhookId, eventType, status, isDelivered } = filter
  if (endpointId !== undefined) query = query.where('delivery.endpoint_id', '=', endpointId)
  if (eventId !== undefined) query = query.where('delivery.event_id', '=', eventId)
  if (webhookId !== undefined) query = query.where(isHeardAs(tenantId, webhookId))
  if (eventType !== undefined) query = query.where('delivery.event_type', '=', eventType)
  if (status !== undefined) query = query.where(statusOfDelivery, '=', status)
  if (isDelivered !== undefined) {
    query = query.where('delivery.status', isDelivered ? '=' : '<>', 'DELIVERED')
  }
  return (await query.execute()) as Delivery[]
}

/** Where it is not the id of an event, attempts say what was sent as `webhook-id`. */
function isHeardAs(tenantId: TenantId, webhookId: string) {
  if (webhookId.startsWith('evt_')) return sql<boolean>`delivery.event_id = ${webhookId}`
  return sql<boolean>`(delivery.id, delivery.created_on) in (
    select delivery_id, created_on from attempt
    where tenant_id = ${tenantId} and webhook_id = ${webhookId})`
}

/** What a delivery sends, as far as there is anything. */
export async function findPayload(
  db: Db,
  tenantId: TenantId,
  id: string,
): Promise<{ eventId: string; isTransformed: boolean; body: Buffer | null } | undefined> {
  const [row] = await db
    .selectFrom('webhook_delivery as delivery')
    .leftJoin('event', (join) =>
      join
        .onRef('event.tenant_id', '=', 'delivery.tenant_id')
        .onRef('event.id', '=', 'delivery.event_id')
        .onRef('event.created_on', '=', 'delivery.event_created_on'),
    )
    .select(['delivery.event_id as eventId', 'delivery.is_transformed as isTransformed'])
    .select(
      sql<Buffer | null>`case when is_transformed then delivery.body else event.body end`.as(
        'body',
      ),
    )
    .where('delivery.tenant_id', '=', tenantId)
    .where('delivery.id', '=', id)
    .where('delivery.created_on', '=', dayOf(id))
    .execute()
  return row
}

export async function pageAttempts(
  db: Db,
  tenantId: TenantId,
  deliveryId: string,
  { sort }: { sort: 'number' | '-number' },
  page: PageRequest,
): Promise<Attempt[]> {
  const isFirstFirst = sort === 'number'
  let query = db
    .selectFrom('attempt')
    .select([
      'id',
      'delivery_id as deliveryId',
      'number',
      'started_at as startedAt',
      'duration_ms as durationMs',
      'outcome',
      'response_status as responseStatus',
      'response_body as responseBody',
      'error',
      'address',
      'webhook_id as webhookId',
    ])
    .where('tenant_id', '=', tenantId)
    .where('delivery_id', '=', deliveryId)
    .where('created_on', '=', dayOf(deliveryId))
    .orderBy('number', isFirstFirst ? 'asc' : 'desc')
    .limit(page.limit + 1)
  if (page.after) query = query.where('number', isFirstFirst ? '>' : '<', Number(page.after[0]))
  return (await query.execute()) as Attempt[]
}

/** Retries that one enabling brings forward; the others come at their own time. */
const hastenedMax = 10_000

/** The endpoint is there again: what waits for its next retry is due at once, as if it were new. */
export function hastenRetries(tx: Tx, tenantId: TenantId, endpointId: string, now: Date): void {
  tx.queue(retriesHasten.bind({ tenantId, endpointId, now }))
}

const retriesHasten = statement(
  'webhook_retries_hasten',
  (a: { tenantId: TenantId; endpointId: string; now: Date }) =>
    build
      .updateTable('delivery_due as due')
      .from((db) =>
        db
          .selectFrom('delivery_due')
          .select('delivery_id')
          .where('tenant_id', '=', a.tenantId)
          .where('endpoint_id', '=', a.endpointId)
          .where('retry_count', '>', 0)
          .where('lease_token', 'is', null)
          .orderBy('due_at')
          .limit(hastenedMax)
          .forUpdate()
          .as('waiting'),
      )
      .set({ due_at: a.now, retry_count: 0 })
      .where('due.tenant_id', '=', a.tenantId)
      .where('due.endpoint_id', '=', a.endpointId)
      .whereRef('due.delivery_id', '=', 'waiting.delivery_id'),
)

/** Queues a finished delivery, locked, to be made once more, its schedule from the beginning. */
export function redeliver(tx: Tx, tenantId: TenantId, id: string, now: Date): void {
  tx.queue(deliveryAgain.bind({ tenantId, id, createdOn: dayOf(id), now }))
  tx.queue(answersToCome.bind({ tenantId, createdOn: dayOf(id) }))
}

/** The day of the delivery gets answers again, which the tenant's policy may want erased. */
export const answersToCome = statement(
  'webhook_delivery_answers_to_come',
  (a: { tenantId: TenantId; createdOn: string }) =>
    build
      .updateTable('retention_policy')
      .set({ answers_erased_to: sql`${a.createdOn}::date - 1` })
      .where('tenant_id', '=', a.tenantId)
      .where('answers_erased_to', '>=', a.createdOn),
)

const deliveryAgain = statement(
  'webhook_delivery_again',
  (a: { tenantId: TenantId; id: string; createdOn: string; now: Date }) =>
    raw(sql`
      with pending as (
        update webhook_delivery set status = 'PENDING', delivered_at = null, skipped_at = null
        where tenant_id = ${a.tenantId} and id = ${a.id} and created_on = ${a.createdOn}
        returning *
      )
      insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
        event_created_on, due_at, attempt_count, retry_count, message_id, order_key, position)
      select tenant_id, endpoint_id, id, created_on, event_id, event_created_on,
        ${a.now}::timestamptz, attempt_count, 0, message_id, place.order_key, place.position
      from pending cross join lateral
        ubos_order_of(tenant_id, endpoint_id, event_id, event_created_on) as place`),
)
