import type { InferResult } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Scope } from '#generated/routes.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import { announceChange } from './key-change.sql.ts'
import type { ServiceAccount } from './service-account.ts'

function selectAccounts(db: Db, tenantId: TenantId) {
  return db
    .selectFrom('service_account')
    .select([
      'id',
      'name',
      'description',
      'status',
      'scopes',
      'created_at',
      'updated_at',
      'revision',
    ])
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
}

function fromRow(row: InferResult<ReturnType<typeof selectAccounts>>[number]): ServiceAccount {
  return {
    id: row.id as Id<'sva'>,
    name: row.name,
    description: row.description,
    status: row.status as ServiceAccount['status'],
    scopes: row.scopes as Scope[] | null,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

type Writable = Omit<ServiceAccount, 'scopes'> & { tenantId: TenantId; scopes: Scope[] | null }

function writable(tenantId: TenantId, account: ServiceAccount): Writable {
  return { ...account, tenantId, scopes: account.scopes && [...account.scopes] }
}

export function insertServiceAccount(tx: Tx, tenantId: TenantId, account: ServiceAccount): void {
  tx.queue(accountInsert.bind(writable(tenantId, account)))
}

const accountInsert = statement('service_account_insert', (a: Writable) =>
  build.insertInto('service_account').values({
    tenant_id: a.tenantId,
    id: a.id,
    name: a.name,
    description: a.description,
    status: a.status,
    scopes: a.scopes,
    created_at: a.createdAt,
    updated_at: a.updatedAt,
    revision: a.revision,
  }),
)

/** Queues an account's new state, and tells every process to forget what it cached of its keys. */
export function updateServiceAccount(tx: Tx, tenantId: TenantId, account: ServiceAccount): void {
  const revisionBefore = account.revision - 1
  tx.queue(accountUpdate.bind({ ...writable(tenantId, account), revisionBefore }))
  announceChange(tx, account.id, account.updatedAt)
}

const accountUpdate = touchingOne(
  'service_account_update',
  'conflict',
  (a: Writable & { revisionBefore: number }) =>
    build
      .updateTable('service_account')
      .set({
        name: a.name,
        description: a.description,
        status: a.status,
        scopes: a.scopes,
        updated_at: a.updatedAt,
        revision: a.revision,
      })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore)
      .where('deleted_at', 'is', null),
)

export function deleteServiceAccount(tx: Tx, tenantId: TenantId, id: string, now: Date): void {
  tx.queue(accountDelete.bind({ tenantId, id, now }))
}

const accountDelete = touchingOne(
  'service_account_delete',
  'not_found',
  (a: OneAccount & { now: Date }) =>
    build
      .updateTable('service_account')
      .set({ deleted_at: a.now })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('deleted_at', 'is', null),
)

interface OneAccount {
  tenantId: TenantId
  id: string
}

function selectOne(a: OneAccount) {
  return selectAccounts(build, a.tenantId).where('id', '=', a.id)
}

export async function findServiceAccount(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, accountById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const accountById = statement('service_account_by_id', selectOne)

/** The account, held against other changes, and against new keys, until the transaction ends. */
export async function lockServiceAccount(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, accountLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

const accountLocked = statement('service_account_locked', (a: OneAccount) =>
  selectOne(a).forNoKeyUpdate(),
)

/** The account, held against changes, but not against other holders, until the transaction ends. */
export async function holdServiceAccount(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, accountHeld.bind({ tenantId, id }))
  return row && fromRow(row)
}

const accountHeld = statement('service_account_held', (a: OneAccount) => selectOne(a).forShare())

/** The scopes of all keys of an account that are not revoked; none when there are no such keys. */
export async function scopesOfKeys(tx: Tx, tenantId: TenantId, id: string): Promise<Scope[]> {
  const { rows } = await tx.executeQuery<{ scope: string }>(keyScopes.bind({ tenantId, id }))
  return rows.map(({ scope }) => scope as Scope)
}

const keyScopes = statement('service_account_key_scopes', (a: OneAccount) =>
  build
    .selectFrom('api_key')
    .select((column) => column.fn<string>('unnest', ['scopes']).as('scope'))
    .distinct()
    .where('tenant_id', '=', a.tenantId)
    .where('service_account_id', '=', a.id)
    .where('revoked_at', 'is', null)
    .orderBy('scope'),
)

export async function pageServiceAccounts(
  db: Db,
  tenantId: TenantId,
  filter: CreationFilter,
  page: PageRequest,
): Promise<ServiceAccount[]> {
  const all = selectAccounts(db, tenantId)
  const rows = await inOrderOfCreation(all, { prefix: 'sva' }, filter, page).execute()
  return rows.map(fromRow)
}
