import { sql } from 'kysely'
import { build, type Db } from '../db/database.ts'
import { statement } from '../db/statement.ts'
import type { Tx } from '../db/transact.ts'
import type { PageRequest } from '../http/page.ts'
import { dayOf, type TenantId } from '../ids.ts'
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
    .select([
      'delivery.id',
      'delivery.endpoint_id as endpointId',
      'delivery.event_id as eventId',
      'delivery.event_type as eventType',
      statusOfDelivery.as('status'),
      'delivery.attempt_count as attemptCount',
      'due.due_at as nextAttemptAt',
      'delivery.last_attempt_at as lastAttemptAt',
      'delivery.delivered_at as deliveredAt',
      'delivery.last_response_status as lastResponseStatus',
      'delivery.created_at as createdAt',
    ])
    .where('delivery.tenant_id', '=', tenantId)
}

/** Sending is not written down: it is what a pending delivery under a lease is. */
const statusOfDelivery = sql<string>`case
  when delivery.status = 'PENDING' and due.leased_until > clock_timestamp() then 'SENDING'
  else delivery.status end`

export async function findDelivery(
  db: Db,
  tenantId: TenantId,
  id: string,
): Promise<Delivery | undefined> {
  const [row] = await selectDeliveries(db, tenantId)
    .where('delivery.id', '=', id)
    .where('delivery.created_on', '=', dayOf(id))
    .execute()
  return row as Delivery | undefined
}

export interface DeliveryFilter {
  endpointId?: string | undefined
  eventId?: string | undefined
  eventType?: string | undefined
  status?: Delivery['status'] | undefined
  sort: '-createdAt' | 'createdAt'
}

export async function pageDeliveries(
  db: Db,
  tenantId: TenantId,
  filter: DeliveryFilter,
  page: PageRequest,
): Promise<Delivery[]> {
  const isNewestFirst = filter.sort === '-createdAt'
  let query = selectDeliveries(db, tenantId)
    .orderBy('delivery.id', isNewestFirst ? 'desc' : 'asc')
    .limit(page.limit + 1)
  const { endpointId, eventId, eventType, status } = filter
  if (endpointId !== undefined) query = query.where('delivery.endpoint_id', '=', endpointId)
  if (eventId !== undefined) query = query.where('delivery.event_id', '=', eventId)
  if (eventType !== undefined) query = query.where('delivery.event_type', '=', eventType)
  if (status !== undefined) query = query.where(statusOfDelivery, '=', status)
  if (page.after) query = query.where('delivery.id', isNewestFirst ? '<' : '>', String(page.after[0]))
  return (await query.execute()) as Delivery[]
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
    ])
    .where('tenant_id', '=', tenantId)
    .where('delivery_id', '=', deliveryId)
    .where('created_on', '=', dayOf(deliveryId))
    .orderBy('number', isFirstFirst ? 'asc' : 'desc')
    .limit(page.limit + 1)
  if (page.after) query = query.where('number', isFirstFirst ? '>' : '<', Number(page.after[0]))
  return (await query.execute()) as Attempt[]
}

interface OfEndpoint {
  tenantId: TenantId
  endpointId: string
}

/** Takes what waits for an endpoint off the work to be done; what is being sent ends by itself. */
export function holdDeliveries(tx: Tx, tenantId: TenantId, endpointId: string): void {
  tx.queue(deliveriesHold.bind({ tenantId, endpointId }))
}

const deliveriesHold = withdrawal('webhook_deliveries_hold', 'HELD')

/** The endpoint is gone: what waits for it, or was held for it, will never be sent. */
export function cancelDeliveries(tx: Tx, tenantId: TenantId, endpointId: string): void {
  tx.queue(deliveriesCancel.bind({ tenantId, endpointId }))
  tx.queue(heldCancel.bind({ tenantId, endpointId }))
}

const deliveriesCancel = withdrawal('webhook_deliveries_cancel', 'CANCELLED')

const heldCancel = statement('webhook_deliveries_cancel_held', (a: OfEndpoint) =>
  build
    .updateTable('webhook_delivery')
    .set({ status: 'CANCELLED' })
    .where('tenant_id', '=', a.tenantId)
    .where('endpoint_id', '=', a.endpointId)
    .where('status', '=', 'HELD'),
)

function withdrawal(name: string, status: 'HELD' | 'CANCELLED') {
  return statement(name, (a: OfEndpoint) =>
    build
      .with('withdrawn', (db) =>
        db
          .deleteFrom('delivery_due')
          .where('tenant_id', '=', a.tenantId)
          .where('endpoint_id', '=', a.endpointId)
          .where('lease_token', 'is', null)
          .returning(['delivery_id', 'created_on']),
      )
      .updateTable('webhook_delivery as delivery')
      .from('withdrawn')
      .set({ status })
      .where('delivery.tenant_id', '=', a.tenantId)
      .whereRef('delivery.id', '=', 'withdrawn.delivery_id')
      .whereRef('delivery.created_on', '=', 'withdrawn.created_on'),
  )
}

/** Puts what was held for an endpoint back to the work to be done, due at once. */
export function releaseDeliveries(tx: Tx, tenantId: TenantId, endpointId: string, now: Date): void {
  tx.queue(deliveriesRelease.bind({ tenantId, endpointId, now }))
}

const deliveriesRelease = statement(
  'webhook_deliveries_release',
  (a: OfEndpoint & { now: Date }) =>
    due(a.now, (db) =>
      db
        .updateTable('webhook_delivery')
        .set({ status: 'PENDING' })
        .where('tenant_id', '=', a.tenantId)
        .where('endpoint_id', '=', a.endpointId)
        .where('status', '=', 'HELD'),
    ),
)

/** Queues a finished delivery to be made once more, its schedule from the beginning. */
export function redeliver(tx: Tx, tenantId: TenantId, id: string, now: Date): void {
  tx.queue(deliveryAgain.bind({ tenantId, id, createdOn: dayOf(id), now }))
}

const deliveryAgain = statement(
  'webhook_delivery_again',
  (a: { tenantId: TenantId; id: string; createdOn: string; now: Date }) =>
    due(a.now, (db) =>
      db
        .updateTable('webhook_delivery')
        .set({ status: 'PENDING', delivered_at: null })
        .where('tenant_id', '=', a.tenantId)
        .where('id', '=', a.id)
        .where('created_on', '=', a.createdOn)
        .where('status', '!=', 'PENDING'),
    ),
)

/** Changes deliveries and puts each into `delivery_due`, in one statement. */
function due(now: Date, change: (db: typeof build) => ReturnType<typeof build.updateTable<'webhook_delivery'>>) {
  const columns = [
    'tenant_id',
    'endpoint_id',
    'delivery_id',
    'created_on',
    'event_id',
    'event_created_on',
    'due_at',
    'attempt_count',
    'retry_count',
  ] as const
  return build
    .with('pending', (db) =>
      change(db as unknown as typeof build).returning([
        'tenant_id',
        'endpoint_id',
        'id as delivery_id',
        'created_on',
        'event_id',
        'event_created_on',
        'attempt_count',
      ]),
    )
    .insertInto('delivery_due')
    .columns([...columns])
    .expression((db) =>
      db
        .selectFrom('pending')
        .select((column) => [
          'tenant_id',
          'endpoint_id',
          'delivery_id',
          'created_on',
          'event_id',
          'event_created_on',
          column.cast<Date>(column.val(now), 'timestamptz').as('due_at'),
          'attempt_count',
          column.lit(0).as('retry_count'),
        ]),
    )
    .onConflict((conflict) => conflict.doNothing())
}
