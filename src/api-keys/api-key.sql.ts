import { type Selectable, sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Scope } from '#generated/routes.ts'
import type { Tables } from '#generated/tables.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { ApiKey } from './api-key.ts'

const columns = [
  'id',
  'name',
  'prefix',
  'scopes',
  'expires_at',
  'revoked_at',
  'created_at',
  'updated_at',
  'revision',
] as const

export type ApiKeyRow = Pick<Selectable<Tables['api_key']>, (typeof columns)[number]>

export function fromRow(row: ApiKeyRow): ApiKey {
  return {
    id: row.id as Id<'key'>,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes as Scope[],
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

/** Queues a key with the hash of its first secret. */
export function insertApiKey(tx: Tx, tenantId: TenantId, key: ApiKey, hash: Buffer): void {
  tx.queue(keyInsert.bind({ tenantId, ...key, scopes: [...key.scopes] }))
  insertSecret(tx, tenantId, key.id, hash, key.createdAt)
}

const keyInsert = statement('api_key_insert', (a: { tenantId: TenantId } & Writable<ApiKey>) =>
  build.insertInto('api_key').values({
    tenant_id: a.tenantId,
    id: a.id,
    name: a.name,
    prefix: a.prefix,
    scopes: a.scopes,
    expires_at: a.expiresAt,
    revoked_at: a.revokedAt,
    created_at: a.createdAt,
    updated_at: a.updatedAt,
    revision: a.revision,
  }),
)

type Writable<Key> = Omit<Key, 'scopes'> & { scopes: Scope[] }

function insertSecret(tx: Tx, tenantId: TenantId, keyId: string, hash: Buffer, now: Date): void {
  tx.queue(secretInsert.bind({ tenantId, keyId, hash, now }))
}

const secretInsert = statement(
  'key_index_insert',
  (a: { tenantId: TenantId; keyId: string; hash: Buffer; now: Date }) =>
    build.insertInto('key_index').values({
      key_hash: a.hash,
      tenant_id: a.tenantId,
      api_key_id: a.keyId,
      created_at: a.now,
    }),
)

/** Queues a new secret for a key; the one before works on until `overlapEndsAt`. */
export function replaceSecret(
  tx: Tx,
  tenantId: TenantId,
  keyId: string,
  hash: Buffer,
  overlapEndsAt: Date,
  now: Date,
): void {
  tx.queue(secretsExpire.bind({ tenantId, keyId, overlapEndsAt }))
  insertSecret(tx, tenantId, keyId, hash, now)
}

const secretsExpire = statement(
  'key_index_expire',
  (a: { tenantId: TenantId; keyId: string; overlapEndsAt: Date }) =>
    build
      .updateTable('key_index')
      .set({ expires_at: soonerOf(a.overlapEndsAt) })
      .where('tenant_id', '=', a.tenantId)
      .where('api_key_id', '=', a.keyId),
)

/** Also a secret that was rotated out before, with a longer overlap, ends with this one. */
function soonerOf(end: Date) {
  return sql<Date>`least(coalesce(expires_at, 'infinity'), ${end}::timestamptz)`
}

/**
 * Queues a key's new state, and tells every process to forget what it has cached of it: last, since
 * its position is one row for all, locked until the commit.
 */
export function updateApiKey(tx: Tx, tenantId: TenantId, key: ApiKey, now: Date): void {
  const revisionBefore = key.revision - 1
  tx.queue(keyUpdate.bind({ tenantId, ...key, scopes: [...key.scopes], revisionBefore }))
  announceChange(tx, key.id, now)
}

/** Tells every process to forget what it has cached of a key, or of all keys of a tenant. */
export function announceChange(tx: Tx, id: Id<'key'> | TenantId, now: Date): void {
  tx.queue(keyChanged.bind({ keyId: id, now }))
}

const keyUpdate = touchingOne(
  'api_key_update',
  'conflict',
  (a: { tenantId: TenantId; revisionBefore: number } & Writable<ApiKey>) =>
    build
      .updateTable('api_key')
      .set({
        name: a.name,
        prefix: a.prefix,
        scopes: a.scopes,
        expires_at: a.expiresAt,
        revoked_at: a.revokedAt,
        updated_at: a.updatedAt,
        revision: a.revision,
      })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore),
)

const keyChanged = statement('key_change_insert', (a: { keyId: string; now: Date }) =>
  build
    .with('head', (db) =>
      db
        .updateTable('key_change_head')
        .set((column) => ({ position: column('position', '+', '1') }))
        .returning('position'),
    )
    .insertInto('key_change')
    .columns(['position', 'api_key_id', 'changed_at'])
    .expression((db) =>
      db
        .selectFrom('head')
        .select((column) => [
          'position',
          column.cast<string>(column.val(a.keyId), 'text').as('api_key_id'),
          column.cast<Date>(column.val(a.now), 'timestamptz').as('changed_at'),
        ]),
    ),
)

export async function findApiKey(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, keyById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const keyById = statement('api_key_by_id', selectOne)

interface OneKey {
  tenantId: TenantId
  id: string
}

function selectOne(a: OneKey) {
  return build
    .selectFrom('api_key')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
}

/** The key, held against other changes until the transaction ends. */
export async function lockApiKey(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, keyLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

/** The key, held against changes, but not against other holders, until the transaction ends. */
export async function holdApiKey(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, keyHeld.bind({ tenantId, id }))
  return row && fromRow(row)
}

const keyHeld = statement('api_key_held', (a: OneKey) => selectOne(a).forShare())

const keyLocked = statement('api_key_locked', (a: OneKey) => selectOne(a).forNoKeyUpdate())

/** All keys of the tenant that are not revoked, held against other changes. */
export async function lockUnrevokedApiKeys(tx: Tx, tenantId: TenantId): Promise<ApiKey[]> {
  const rows = await tx
    .selectFrom('api_key')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .where('revoked_at', 'is', null)
    .orderBy('id')
    .forNoKeyUpdate()
    .execute()
  return rows.map(fromRow)
}

export async function pageApiKeys(
  db: Db,
  tenantId: TenantId,
  { sort }: { sort: '-createdAt' | 'createdAt' },
  page: PageRequest,
): Promise<ApiKey[]> {
  const isNewestFirst = sort === '-createdAt'
  let query = db
    .selectFrom('api_key')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .orderBy('id', isNewestFirst ? 'desc' : 'asc')
    .limit(page.limit + 1)
  if (page.after) query = query.where('id', isNewestFirst ? '<' : '>', String(page.after[0]))
  return (await query.execute()).map(fromRow)
}

/** A key with the tenant that it opens. */
export async function findPrincipal(db: Db, tenantId: TenantId, id: string) {
  return await fetchOne(db, principalById.bind({ tenantId, id }))
}

const principalById = statement('principal_by_id', (a: { tenantId: TenantId; id: string }) =>
  build
    .selectFrom('api_key as key')
    .innerJoin('tenant', 'tenant.tenant_id', 'key.tenant_id')
    .leftJoin('tenant_limit', 'tenant_limit.tenant_id', 'key.tenant_id')
    .select([
      'key.id',
      'key.name',
      'key.prefix',
      'key.scopes',
      'key.expires_at',
      'key.revoked_at',
      'tenant.organization_id',
      'tenant.environment',
      'tenant_limit.overrides',
    ])
    .where('key.tenant_id', '=', a.tenantId)
    .where('key.id', '=', a.id),
)
