import { type Selectable, sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import { lockTenant } from '#db/tenant-lock.sql.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { Consumer } from './consumer.ts'

const columns = [
  'id',
  'name',
  'event_types',
  'position',
  'batch_id',
  'leased_to',
  'leased_until',
  'created_at',
  'updated_at',
  'revision',
] as const

type Row = Pick<Selectable<Tables['event_consumer']>, (typeof columns)[number]>

function fromRow(row: Row): Consumer {
  return {
    id: row.id as Id<'evc'>,
    name: row.name,
    eventTypes: row.event_types as Consumer['eventTypes'][number][],
    position: Number(row.position),
    batchId: row.batch_id,
    leasedTo: row.leased_to === null ? null : Number(row.leased_to),
    leasedUntil: row.leased_until,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

type Written = { tenantId: TenantId } & Omit<Consumer, 'eventTypes'> & { eventTypes: string[] }

function written(tenantId: TenantId, consumer: Consumer): Written {
  return { ...consumer, tenantId, eventTypes: [...consumer.eventTypes] }
}

export function insertConsumer(tx: Tx, tenantId: TenantId, consumer: Consumer): void {
  tx.queue(consumerInsert.bind(written(tenantId, consumer)))
}

const consumerInsert = statement('event_consumer_insert', (a: Written) =>
  build.insertInto('event_consumer').values({
    tenant_id: a.tenantId,
    id: a.id,
    created_at: a.createdAt,
    ...columnsOf(a),
  }),
)

/** Queues the consumer as it is now; the caller holds it. */
export function updateConsumer(tx: Tx, tenantId: TenantId, consumer: Consumer): void {
  const { revision } = consumer
  tx.queue(consumerUpdate.bind({ ...written(tenantId, consumer), revisionBefore: revision - 1 }))
}

const consumerUpdate = touchingOne(
  'event_consumer_update',
  'conflict',
  (a: Written & { revisionBefore: number }) =>
    build
      .updateTable('event_consumer')
      .set(columnsOf(a))
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore),
)

function columnsOf(a: Written) {
  return {
    name: a.name,
    event_types: a.eventTypes,
    position: a.position,
    batch_id: a.batchId,
    leased_to: a.leasedTo,
    leased_until: a.leasedUntil,
    updated_at: a.updatedAt,
    revision: a.revision,
  }
}

interface OneConsumer {
  tenantId: TenantId
  id: string
}

export function deleteConsumer(tx: Tx, tenantId: TenantId, id: string): void {
  tx.queue(consumerDelete.bind({ tenantId, id }))
}

const consumerDelete = touchingOne('event_consumer_delete', 'conflict', (a: OneConsumer) =>
  build.deleteFrom('event_consumer').where('tenant_id', '=', a.tenantId).where('id', '=', a.id),
)

function selectOne(a: OneConsumer) {
  return build
    .selectFrom('event_consumer')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
}

export async function findConsumer(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, consumerById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const consumerById = statement('event_consumer_by_id', selectOne)

/** The consumer, held against other changes until the transaction ends, and the time of its leases. */
export async function lockConsumer(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, consumerLocked.bind({ tenantId, id }))
  return row && { consumer: fromRow(row), leaseNow: row.lease_now }
}

const consumerLocked = statement('event_consumer_locked', (a: OneConsumer) =>
  selectOne(a).select(sql<Date>`clock_timestamp()`.as('lease_now')).forNoKeyUpdate(),
)

/** How many consumers the tenant has; until the transaction ends nobody else adds one. */
export async function countConsumers(tx: Tx, tenantId: TenantId): Promise<number> {
  await lockTenant(tx, tenantId)
  const [row] = await tx
    .selectFrom('event_consumer')
    .select((column) => column.fn.countAll<string>().as('count'))
    .where('tenant_id', '=', tenantId)
    .execute()
  return Number(row?.count ?? 0)
}

export async function pageConsumers(
  db: Db,
  tenantId: TenantId,
  filter: CreationFilter,
  page: PageRequest,
): Promise<Consumer[]> {
  const own = db.selectFrom('event_consumer').select(columns).where('tenant_id', '=', tenantId)
  const query = inOrderOfCreation(own, { prefix: 'evc' }, filter, page)
  return (await query.execute()).map(fromRow)
}
