import { type Selectable, sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import { lockTenant } from '#db/tenant-lock.sql.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import type { TenantId } from '#ids.ts'
import { typeNames } from './event.ts'
import type { OwnType } from './own-type.ts'

const columns = [
  'type',
  'version',
  'description',
  'schema',
  'example',
  'created_at',
  'updated_at',
] as const

type Row = Pick<Selectable<Tables['event_type']>, (typeof columns)[number]>

function fromRow({ created_at: createdAt, updated_at: updatedAt, ...row }: Row): OwnType {
  const [schema, example] = [JSON.parse(row.schema), JSON.parse(row.example)]
  return { ...row, schema, example, createdAt, updatedAt }
}

interface Written extends Omit<OwnType, 'schema' | 'example'> {
  tenantId: TenantId
  schema: string
  example: string
}

function written(tenantId: TenantId, own: OwnType): Written {
  const [schema, example] = [JSON.stringify(own.schema), JSON.stringify(own.example)]
  return { ...own, tenantId, schema, example }
}

export function insertOwnType(tx: Tx, tenantId: TenantId, own: OwnType): void {
  tx.queue(typeInsert.bind(written(tenantId, own)))
}

const typeInsert = statement('event_type_insert', (a: Written) =>
  build.insertInto('event_type').values({
    ...{ tenant_id: a.tenantId, type: a.type, created_at: a.createdAt },
    ...columnsOf(a),
  }),
)

/** Queues a type's new state; the caller holds it. */
export function updateOwnType(tx: Tx, tenantId: TenantId, own: OwnType): void {
  tx.queue(typeUpdate.bind(written(tenantId, own)))
}

const typeUpdate = touchingOne('event_type_update', 'conflict', (a: Written) =>
  build
    .updateTable('event_type')
    .set(columnsOf(a))
    .where('tenant_id', '=', a.tenantId)
    .where('type', '=', a.type),
)

function columnsOf(a: Written) {
  return {
    version: a.version,
    description: a.description,
    schema: a.schema,
    example: a.example,
    updated_at: a.updatedAt,
  }
}

export function deleteOwnType(tx: Tx, tenantId: TenantId, type: string): void {
  tx.queue(typeDelete.bind({ tenantId, type }))
}

const typeDelete = touchingOne('event_type_delete', 'conflict', (a: OneType) =>
  build.deleteFrom('event_type').where('tenant_id', '=', a.tenantId).where('type', '=', a.type),
)

interface OneType {
  tenantId: TenantId
  type: string
}

export async function findOwnType(db: Db, tenantId: TenantId, type: string) {
  const row = await fetchOne(db, typeByName.bind({ tenantId, type }))
  return row && fromRow(row)
}

const typeByName = statement('event_type_by_name', selectOne)

/** The type, held against other changes until the transaction ends. */
export async function lockOwnType(tx: Tx, tenantId: TenantId, type: string) {
  const row = await fetchOne(tx, typeLocked.bind({ tenantId, type }))
  return row && fromRow(row)
}

const typeLocked = statement('event_type_locked', (a: OneType) => selectOne(a).forNoKeyUpdate())

function selectOne(a: OneType) {
  return build
    .selectFrom('event_type')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('type', '=', a.type)
}

/** Endpoints and consumers that select the type by its very name: their ids, ten of them at most. */
export async function findSubscribers(db: Db, tenantId: TenantId, type: string): Promise<string[]> {
  const isNamed = sql<boolean>`${type} = any(event_types)`
  const rows = await db
    .selectFrom('webhook_endpoint')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
    .where(isNamed)
    .unionAll(
      db.selectFrom('event_consumer').select('id').where('tenant_id', '=', tenantId).where(isNamed),
    )
    .orderBy('id')
    .limit(10)
    .execute()
  return rows.map(({ id }) => id)
}

/** All of a tenant, in alphabetical order. */
export async function listOwnTypes(db: Db, tenantId: TenantId): Promise<OwnType[]> {
  const rows = await db
    .selectFrom('event_type')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .orderBy('type')
    .execute()
  return rows.map(fromRow)
}

/** The names of a tenant's own types; until the transaction ends nobody else adds one. */
export async function lockOwnNames(tx: Tx, tenantId: TenantId): Promise<string[]> {
  await lockTenant(tx, tenantId)
  return await findOwnNames(tx, tenantId)
}

async function findOwnNames(db: Db, tenantId: TenantId): Promise<string[]> {
  const rows = await db
    .selectFrom('event_type')
    .select('type')
    .where('tenant_id', '=', tenantId)
    .execute()
  return rows.map(({ type }) => type)
}

/** The types that selectors may select; the tenant's own are asked for only where they are meant. */
export async function findSelectable(
  db: Db,
  tenantId: TenantId,
  selectors: readonly string[] = [],
): Promise<readonly string[]> {
  if (!selectors.some((selector) => selector.startsWith('custom.'))) return typeNames
  return [...typeNames, ...(await findOwnNames(db, tenantId))]
}
