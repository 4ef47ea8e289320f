import type { Selectable } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { Client } from './client.ts'

const columns = [
  'id',
  'external_id',
  'name',
  'email',
  'phone',
  'tax_number',
  'address',
  'currency',
  'metadata',
  'revision',
  'created_at',
  'updated_at',
] as const

type Row = Pick<Selectable<Tables['client']>, (typeof columns)[number]>

function fromRow(row: Row): Client {
  return {
    id: row.id as Id<'cli'>,
    externalId: row.external_id,
    name: row.name,
    email: row.email,
    phone: row.phone,
    taxNumber: row.tax_number,
    address: row.address as Client['address'],
    currency: row.currency,
    metadata: row.metadata as Client['metadata'],
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

function toRow(client: Client) {
  return {
    external_id: client.externalId,
    name: client.name,
    email: client.email,
    phone: client.phone,
    tax_number: client.taxNumber,
    address: client.address && JSON.stringify(client.address),
    currency: client.currency,
    metadata: JSON.stringify(client.metadata),
    revision: client.revision,
    updated_at: client.updatedAt,
  }
}

export function insertClient(tx: Tx, tenantId: TenantId, client: Client): void {
  const { id, createdAt } = client
  tx.queue(clientInsert.bind({ tenantId, id, createdAt, ...toRow(client) }))
}

type Written = { tenantId: TenantId; id: string } & ReturnType<typeof toRow>

const clientInsert = statement('client_insert', (a: Written & { createdAt: Date }) =>
  build.insertInto('client').values({
    tenant_id: a.tenantId,
    id: a.id,
    created_at: a.createdAt,
    ...columnsOf(a),
  }),
)

/** Queues the client's new state; another change of the same revision ends the call (conflict). */
export function updateClient(tx: Tx, tenantId: TenantId, client: Client): void {
  const revisionBefore = client.revision - 1
  tx.queue(clientUpdate.bind({ tenantId, id: client.id, revisionBefore, ...toRow(client) }))
}

const clientUpdate = touchingOne(
  'client_update',
  'conflict',
  (a: Written & { revisionBefore: number }) =>
    build
      .updateTable('client')
      .set(columnsOf(a))
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore)
      .where('deleted_at', 'is', null),
)

function columnsOf(a: Written) {
  return {
    external_id: a.external_id,
    name: a.name,
    email: a.email,
    phone: a.phone,
    tax_number: a.tax_number,
    address: a.address,
    currency: a.currency,
    metadata: a.metadata,
    revision: a.revision,
    updated_at: a.updated_at,
  }
}

export function deleteClient(tx: Tx, tenantId: TenantId, client: Client, now: Date): void {
  tx.queue(clientDelete.bind({ tenantId, id: client.id, revision: client.revision, now }))
}

const clientDelete = touchingOne(
  'client_delete',
  'conflict',
  (a: { tenantId: TenantId; id: string; revision: number; now: Date }) =>
    build
      .updateTable('client')
      .set({ deleted_at: a.now })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revision)
      .where('deleted_at', 'is', null),
)

export async function findClient(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, clientById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const clientById = statement('client_by_id', selectOne)

/** The client, held against other changes until the transaction ends. */
export async function lockClient(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, clientLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

const clientLocked = statement('client_locked', (a: OneClient) => selectOne(a).forNoKeyUpdate())

/** The client that something will refer to: it is not deleted before the transaction ends. */
export async function holdClient(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, clientHeld.bind({ tenantId, id }))
  return row && fromRow(row)
}

const clientHeld = statement('client_held', (a: OneClient) => selectOne(a).forShare())

/** The number of an invoice that the client has still to pay, if there is one. */
export async function findOpenInvoice(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, clientOpenInvoice.bind({ tenantId, id }))
  return row?.number
}

const clientOpenInvoice = statement('client_open_invoice', (a: OneClient) =>
  build
    .selectFrom('invoice')
    .select('number')
    .where('tenant_id', '=', a.tenantId)
    .where('client_id', '=', a.id)
    .where('status', '=', 'OPEN')
    .limit(1),
)

interface OneClient {
  tenantId: TenantId
  id: string
}

function selectOne(a: OneClient) {
  return build
    .selectFrom('client')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('deleted_at', 'is', null)
}

export interface ClientFilter extends CreationFilter {
  externalId?: string | undefined
  email?: string | undefined
}

export async function pageClients(
  db: Db,
  tenantId: TenantId,
  filter: ClientFilter,
  page: PageRequest,
): Promise<Client[]> {
  const all = db
    .selectFrom('client')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
  let query = inOrderOfCreation(all, { prefix: 'cli' }, filter, page)
  const { externalId, email } = filter
  if (externalId !== undefined) query = query.where('external_id', '=', externalId)
  if (email !== undefined) query = query.where('email', '=', email)
  return (await query.execute()).map(fromRow)
}
