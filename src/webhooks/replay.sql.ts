import { sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, raw, statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import { eventAtPlace } from '#events/place.sql.ts'
import { dayOf, firstIdAt, type TenantId } from '#ids.ts'
import { countMatched } from './balance.sql.ts'
import { answersToCome } from './delivery.sql.ts'
import type { LastDelivery, Listener, Plan, Replayable, ReplayPayload } from './replay.ts'

/** How far a replay is. */
export interface ReplayState {
  /** Events up to this position are done. */
  position: number
  untilPosition: number
  eventCount: number
  deliveryCount: number
}

/** Who waits for a transaction no longer than this has an id that is older than its position by as much. */
const commitLagMs = 60_000

/** The position before the first event that a replay may be about, and the last one that there is. */
export async function findRange(
  db: Db,
  tenantId: TenantId,
  { since }: ReplayPayload,
): Promise<ReplayState> {
  const places = db
    .selectFrom('event_position')
    .select('position')
    .where('tenant_id', '=', tenantId)
    .limit(1)
  const [last] = await places.orderBy('position', 'desc').execute()
  const untilPosition = Number(last?.position ?? 0)
  const firstId = firstIdAt('evt', Date.parse(since) - commitLagMs)
  const [first] = await places.where('event_id', '>=', firstId).orderBy('event_id').execute()
  const position = first === undefined ? untilPosition : Number(first.position) - 1
  return { position, untilPosition, eventCount: 0, deliveryCount: 0 }
}

/** The state of a replay, held until the transaction ends; undefined before its first page. */
export async function lockReplay(
  tx: Tx,
  tenantId: TenantId,
  jobId: string,
): Promise<ReplayState | undefined> {
  const row = await fetchOne(tx, replayLocked.bind({ tenantId, jobId }))
  return (
    row && {
      position: Number(row.position),
      untilPosition: Number(row.until_position),
      eventCount: Number(row.event_count),
      deliveryCount: Number(row.delivery_count),
    }
  )
}

const replayLocked = statement('webhook_replay_locked', (a: { tenantId: string; jobId: string }) =>
  build
    .selectFrom('webhook_replay')
    .select(['position', 'until_position', 'event_count', 'delivery_count'])
    .where('tenant_id', '=', a.tenantId)
    .where('job_id', '=', a.jobId)
    .forUpdate(),
)

interface Written extends ReplayState {
  tenantId: TenantId
  jobId: string
  now: Date
}

export function writeReplay(tx: Tx, written: Written): void {
  tx.queue(replayWrite.bind({ ...written }))
}

const replayWrite = statement('webhook_replay_write', (a: Written) =>
  build
    .insertInto('webhook_replay')
    .values({
      tenant_id: a.tenantId,
      job_id: a.jobId,
      position: a.position,
      until_position: a.untilPosition,
      event_count: a.eventCount,
      delivery_count: a.deliveryCount,
      updated_at: a.now,
    })
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'job_id']).doUpdateSet((row) => ({
        position: row.ref('excluded.position'),
        event_count: row.ref('excluded.event_count'),
        delivery_count: row.ref('excluded.delivery_count'),
        updated_at: row.ref('excluded.updated_at'),
      })),
    ),
)

/** The next events of the log whose payload is still there, in order; with it where it is asked for. */
export async function readPage(
  db: Db,
  tenantId: TenantId,
  { position, untilPosition }: ReplayState,
  { limit, withPayloads }: { limit: number; withPayloads: boolean },
): Promise<{ events: Replayable[]; position: number }> {
  const rows = await db
    .selectFrom('event_position as place')
    .innerJoinLateral(eventAtPlace, (join) => join.onTrue())
    .select(['place.position', 'place.event_id', 'place.type', 'place.endpoint_id'])
    .select(sql<string>`place.created_on::text`.as('created_on'))
    .select(sql<boolean>`event.body is not null`.as('has_body'))
    .select(sql<Buffer | null>`case when ${withPayloads} then event.body end`.as('body'))
    .where('place.tenant_id', '=', tenantId)
    .where('place.position', '>', String(position))
    .where('place.position', '<=', String(untilPosition))
    .orderBy('place.position')
    .limit(limit)
    .execute()
  const events = rows
    .filter((row) => row.has_body)
    .map((row) => ({
      position: Number(row.position),
      eventId: row.event_id,
      createdOn: row.created_on,
      type: row.type,
      endpointId: row.endpoint_id,
      payload: row.body === null ? undefined : JSON.parse(row.body.toString('utf8')),
    }))
  const last = rows.at(-1)
  return { events, position: last === undefined ? untilPosition : Number(last.position) }
}

/** The endpoints that a replay tells: those that it names, or all; enabled ones only. */
export async function findListeners(
  db: Db,
  tenantId: TenantId,
  { endpointIds }: ReplayPayload,
): Promise<Listener[]> {
  let query = db
    .selectFrom('webhook_endpoint')
    .select(['id', 'event_types as eventTypes', 'filter'])
    .select(sql<boolean>`transformation is not null`.as('isTransformed'))
    .where('tenant_id', '=', tenantId)
    .where('status', '=', 'ENABLED')
    .where('deleted_at', 'is', null)
    .orderBy('id')
  if (endpointIds !== undefined) query = query.where('id', 'in', endpointIds)
  const rows = await query.execute()
  return rows.map((row) => ({ ...row, filter: row.filter as unknown as Listener['filter'] }))
}

/** The last delivery of each of these events to each of these endpoints. */
export async function findLastDeliveries(
  db: Db,
  tenantId: TenantId,
  events: readonly Replayable[],
  listeners: readonly Listener[],
): Promise<LastDelivery[]> {
  return await db
    .selectFrom('webhook_delivery')
    .distinctOn(['event_id', 'endpoint_id'])
    .select(['id', 'event_id as eventId', 'endpoint_id as endpointId', 'status'])
    .where('tenant_id', '=', tenantId)
    .where('event_id', '=', sql<string>`any(${events.map(({ eventId }) => eventId)})`)
    .where('endpoint_id', '=', sql<string>`any(${listeners.map(({ id }) => id)})`)
    .orderBy('event_id')
    .orderBy('endpoint_id')
    .orderBy('id', 'desc')
    .execute()
}

/** How many deliveries these endpoints still have before them, up to `limit`. */
export async function countWaiting(
  db: Db,
  tenantId: TenantId,
  listeners: readonly Listener[],
  now: Date,
  limit: number,
): Promise<number> {
  const waiting = db
    .selectFrom('delivery_due')
    .select('delivery_id')
    .where('tenant_id', '=', tenantId)
    .where('endpoint_id', '=', sql<string>`any(${listeners.map(({ id }) => id)})`)
    .where('lease_token', 'is', null)
    .where('due_at', '<=', now)
    .limit(limit)
    .as('waiting')
  const [row] = await db
    .selectFrom(waiting)
    .select((column) => column.fn.countAll<string>().as('count'))
    .execute()
  return Number(row?.count ?? 0)
}

/** Queues what a plan makes due, each under the `webhook-id` that `messageId` answers. */
export function makeDue(
  tx: Tx,
  tenantId: TenantId,
  { again, fresh }: Plan,
  now: Date,
  messageId: () => string | null,
): void {
  if (again.length > 0) {
    const ids = again.map(({ id }) => id)
    const days = ids.map(dayOf)
    tx.queue(deliveriesAgain.bind({ tenantId, ids, days, messageIds: ids.map(messageId), now }))
    for (const createdOn of new Set(days)) tx.queue(answersToCome.bind({ tenantId, createdOn }))
  }
  if (fresh.length > 0) {
    const ids = fresh.map(() => tx.newId('whd'))
    const endpointIds = fresh.map(({ endpointId }) => endpointId)
    tx.queue(
      deliveriesFresh.bind({
        ...{ tenantId, ids, days: ids.map(dayOf), messageIds: ids.map(messageId), now },
        endpointIds,
        areTransformed: fresh.map(({ isTransformed }) => isTransformed),
        eventIds: fresh.map(({ event }) => event.eventId),
        eventDays: fresh.map(({ event }) => event.createdOn),
        eventTypes: fresh.map(({ event }) => event.type),
      }),
    )
    countMatched(tx, tenantId, ids, endpointIds)
  }
}

interface Again {
  tenantId: TenantId
  ids: readonly string[]
  days: readonly string[]
  messageIds: readonly (string | null)[]
  now: Date
}

/** One that somebody else has made due meanwhile is left to them. */
const deliveriesAgain = statement('webhook_deliveries_again', (a: Again) =>
  raw(sql`
    with pending as (
      update webhook_delivery as delivery
      set status = 'PENDING', delivered_at = null, skipped_at = null, message_id = chosen.message_id
      from unnest(${a.ids}::text[], ${a.days}::date[], ${a.messageIds}::text[])
        as chosen (id, created_on, message_id)
      where delivery.tenant_id = ${a.tenantId} and delivery.id = chosen.id
        and delivery.created_on = chosen.created_on and delivery.status <> 'PENDING'
      returning delivery.*
    )
    insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
      event_created_on, due_at, attempt_count, retry_count, message_id, order_key, position)
    select tenant_id, endpoint_id, id, created_on, event_id, event_created_on,
      ${a.now}::timestamptz, attempt_count, 0, message_id, place.order_key, place.position
    from pending cross join lateral
      ubos_order_of(tenant_id, endpoint_id, event_id, event_created_on) as place`),
)

interface Fresh extends Again {
  endpointIds: readonly string[]
  areTransformed: readonly boolean[]
  eventIds: readonly string[]
  eventDays: readonly string[]
  eventTypes: readonly string[]
}

const deliveriesFresh = statement('webhook_deliveries_fresh', (a: Fresh) =>
  raw(sql`
    with promised as (
      select * from unnest(${a.ids}::text[], ${a.days}::date[], ${a.endpointIds}::text[],
        ${a.eventIds}::text[], ${a.eventDays}::date[], ${a.eventTypes}::text[],
        ${a.messageIds}::text[], ${a.areTransformed}::boolean[])
        as p (id, created_on, endpoint_id, event_id, event_created_on, event_type, message_id,
          is_transformed)
    ), due as (
      insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
        event_created_on, due_at, attempt_count, retry_count, message_id, order_key, position)
      select ${a.tenantId}, endpoint_id, id, created_on, event_id, event_created_on,
        ${a.now}::timestamptz, 0, 0, message_id, place.order_key, place.position
      from promised cross join lateral
        ubos_order_of(${a.tenantId}, endpoint_id, event_id, event_created_on) as place
    )
    insert into webhook_delivery (tenant_id, id, created_on, endpoint_id, event_id,
      event_created_on, event_type, status, attempt_count, created_at, message_id, is_transformed)
    select ${a.tenantId}, id, created_on, endpoint_id, event_id, event_created_on, event_type,
      'PENDING', 0, ${a.now}::timestamptz, message_id, is_transformed
    from promised`),
)
