import { type InferResult, sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Scope } from '#generated/routes.ts'
import type { ApiKeyStatus } from '#generated/types.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { ApiKey, KeyAccount } from './api-key.ts'
import { announceChange } from './key-change.sql.ts'
import { insertSecret } from './secret.sql.ts'

/** A key with what its service account says of it, and when it was last used. */
function selectKeys(db: Db, tenantId: TenantId) {
  return db
    .selectFrom('api_key as key')
    .leftJoin('service_account as account', (join) =>
      join
        .onRef('account.tenant_id', '=', 'key.tenant_id')
        .onRef('account.id', '=', 'key.service_account_id'),
    )
    .leftJoin('api_key_last_use as used', (join) =>
      join.onRef('used.tenant_id', '=', 'key.tenant_id').onRef('used.api_key_id', '=', 'key.id'),
    )
    .select([
      'key.id',
      'key.name',
      'key.prefix',
      'key.scopes',
      'key.allowed_ips',
      'key.expires_at',
      'key.rotated_at',
      'key.previous_expires_at',
      'key.revoked_at',
      'key.created_at',
      'key.updated_at',
      'key.revision',
      'account.id as account_id',
      'account.name as account_name',
      'account.status as account_status',
      'account.scopes as account_scopes',
      'used.used_at',
      'used.ip as used_ip',
      'used.previous_secret_used_at',
    ])
    .where('key.tenant_id', '=', tenantId)
}

type Row = InferResult<ReturnType<typeof selectKeys>>[number]

function fromRow(row: Row): ApiKey {
  return {
    id: row.id as Id<'key'>,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes as Scope[],
    allowedIps: row.allowed_ips,
    serviceAccount: accountOf(row),
    expiresAt: row.expires_at,
    rotatedAt: row.rotated_at,
    previousExpiresAt: row.previous_expires_at,
    revokedAt: row.revoked_at,
    lastUse: row.used_at && {
      at: row.used_at,
      ip: row.used_ip,
      previousSecretAt: row.previous_secret_used_at,
    },
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

/** What a key takes from its service account, from columns of an outer join. */
export function accountOf(
  row: Pick<Row, 'account_id' | 'account_name' | 'account_status' | 'account_scopes'>,
): KeyAccount | null {
  if (row.account_id === null) return null
  return {
    id: row.account_id as Id<'sva'>,
    name: row.account_name ?? '',
    status: row.account_status as KeyAccount['status'],
    scopes: row.account_scopes as Scope[] | null,
  }
}

/** Queues a key with the hash of its first secret. */
export function insertApiKey(tx: Tx, tenantId: TenantId, key: ApiKey, hash: Buffer): void {
  const serviceAccountId = key.serviceAccount?.id ?? null
  tx.queue(keyInsert.bind({ ...writable(key), tenantId, serviceAccountId }))
  insertSecret(tx, tenantId, key.id, hash, key.createdAt)
}

/** The columns of a key's own row that a change may write. */
function writable(key: ApiKey) {
  const { serviceAccount: _, lastUse: __, ...row } = key
  return { ...row, scopes: [...key.scopes], allowedIps: [...key.allowedIps] }
}

type Writable = ReturnType<typeof writable>

const keyInsert = statement(
  'api_key_insert',
  (a: Writable & { tenantId: TenantId; serviceAccountId: string | null }) =>
    build.insertInto('api_key').values({
      tenant_id: a.tenantId,
      id: a.id,
      name: a.name,
      prefix: a.prefix,
      scopes: a.scopes,
      allowed_ips: a.allowedIps,
      service_account_id: a.serviceAccountId,
      expires_at: a.expiresAt,
      rotated_at: a.rotatedAt,
      previous_expires_at: a.previousExpiresAt,
      revoked_at: a.revokedAt,
      created_at: a.createdAt,
      updated_at: a.updatedAt,
      revision: a.revision,
    }),
)

/** Queues a key's new state, and tells every process to forget what it has cached of it. */
export function updateApiKey(tx: Tx, tenantId: TenantId, key: ApiKey, now: Date): void {
  tx.queue(keyUpdate.bind({ ...writable(key), tenantId, revisionBefore: key.revision - 1 }))
  announceChange(tx, key.id, now)
}

const keyUpdate = touchingOne(
  'api_key_update',
  'conflict',
  (a: Writable & { tenantId: TenantId; revisionBefore: number }) =>
    build
      .updateTable('api_key')
      .set({
        name: a.name,
        prefix: a.prefix,
        scopes: a.scopes,
        allowed_ips: a.allowedIps,
        expires_at: a.expiresAt,
        rotated_at: a.rotatedAt,
        previous_expires_at: a.previousExpiresAt,
        revoked_at: a.revokedAt,
        updated_at: a.updatedAt,
        revision: a.revision,
      })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore),
)

interface OneKey {
  tenantId: TenantId
  id: string
}

function selectOne(a: OneKey) {
  return selectKeys(build, a.tenantId).where('key.id', '=', a.id)
}

export async function findApiKey(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, keyById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const keyById = statement('api_key_by_id', selectOne)

/** The key, held against other changes until the transaction ends. */
export async function lockApiKey(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, keyLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

const keyLocked = statement('api_key_locked', (a: OneKey) => selectOne(a).forNoKeyUpdate('key'))

/** The key, held against changes, but not against other holders, until the transaction ends. */
export async function holdApiKey(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, keyHeld.bind({ tenantId, id }))
  return row && fromRow(row)
}

const keyHeld = statement('api_key_held', (a: OneKey) => selectOne(a).forShare('key'))

/** All keys of the tenant that are not revoked, held against other changes. */
export async function lockUnrevokedApiKeys(tx: Tx, tenantId: TenantId): Promise<ApiKey[]> {
  const rows = await selectKeys(tx, tenantId)
    .where('key.revoked_at', 'is', null)
    .orderBy('key.id')
    .forNoKeyUpdate('key')
    .execute()
  return rows.map(fromRow)
}

interface KeyFilter extends CreationFilter {
  status?: ApiKeyStatus | undefined
  serviceAccountId?: string | undefined
}

export async function pageApiKeys(
  db: Db,
  tenantId: TenantId,
  { status, serviceAccountId, ...order }: KeyFilter,
  page: PageRequest,
  now: Date,
): Promise<ApiKey[]> {
  const columns = { prefix: 'key', id: 'key.id', createdAt: 'key.created_at' } as const
  let query = inOrderOfCreation(selectKeys(db, tenantId), columns, order, page)
  if (serviceAccountId) query = query.where('key.service_account_id', '=', serviceAccountId)
  if (status) query = query.where(hasStatus(status, now))
  return (await query.execute()).map(fromRow)
}

/** What `statusOf` says, in words that an index understands. */
function hasStatus(status: ApiKeyStatus, now: Date) {
  const isLive = sql<boolean>`
    key.revoked_at is null and (key.expires_at is null or key.expires_at > ${now})`
  switch (status) {
    case 'REVOKED':
      return sql<boolean>`key.revoked_at is not null`
    case 'EXPIRED':
      return sql<boolean>`key.revoked_at is null and key.expires_at <= ${now}`
    case 'DISABLED':
      return sql<boolean>`${isLive} and account.status = 'DISABLED'`
    case 'ACTIVE':
      return sql<boolean>`${isLive} and account.status is distinct from 'DISABLED'`
    default:
      return status satisfies never
  }
}
