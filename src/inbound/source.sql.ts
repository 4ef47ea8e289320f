import { type Selectable, sql } from 'kysely'
import pg from 'pg'
import { build, type Db } from '#db/database.ts'
import type { Readers } from '#db/readers.ts'
import { fetchOne, raw, statement, touchingOne } from '#db/statement.ts'
import { lockTenant } from '#db/tenant-lock.sql.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import { type Id, type TenantId, tenantId } from '#ids.ts'
import type { Source } from './source.ts'

const columns = [
  'id',
  'name',
  'scheme',
  'settings',
  'secrets',
  'secret_count',
  'secrets_changed_at',
  'allowed_ips',
  'body_bytes_max',
  'throttle_per_second',
  'accepts_undedupable',
  'status',
  'revision',
  'created_at',
  'updated_at',
] as const

type Row = Pick<Selectable<Tables['inbound_source']>, (typeof columns)[number]>

function fromRow(row: Row): Source {
  return {
    id: row.id as Id<'src'>,
    name: row.name,
    scheme: row.scheme as Source['scheme'],
    settings: row.settings as Source['settings'],
    secrets: row.secrets,
    secretCount: row.secret_count,
    secretsChangedAt: row.secrets_changed_at,
    allowedIps: row.allowed_ips,
    maxBodyBytes: row.body_bytes_max,
    throttlePerSecond: row.throttle_per_second,
    acceptsUndedupable: row.accepts_undedupable,
    status: row.status as Source['status'],
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

type Written = { tenantId: TenantId } & Omit<Source, 'settings' | 'allowedIps'> & {
    settings: string
    allowedIps: string[]
  }

function written(tenantId: TenantId, source: Source): Written {
  const settings = JSON.stringify(source.settings)
  return { tenantId, ...source, settings, allowedIps: [...source.allowedIps] }
}

/** Queues a new source, and the way to it from its address. */
export function insertSource(tx: Tx, tenantId: TenantId, source: Source): void {
  tx.queue(sourceInsert.bind(written(tenantId, source)))
  tx.queue(indexInsert.bind({ tenantId, id: source.id, createdAt: source.createdAt }))
}

const sourceInsert = statement('inbound_source_insert', (a: Written) =>
  build.insertInto('inbound_source').values({
    tenant_id: a.tenantId,
    id: a.id,
    scheme: a.scheme,
    created_at: a.createdAt,
    ...columnsOf(a),
  }),
)

const indexInsert = statement(
  'source_index_insert',
  (a: { tenantId: TenantId; id: string; createdAt: Date }) =>
    build
      .insertInto('source_index')
      .values({ source_id: a.id, tenant_id: a.tenantId, created_at: a.createdAt }),
)

export function updateSource(tx: Tx, tenantId: TenantId, source: Source): void {
  const revisionBefore = source.revision - 1
  tx.queue(sourceUpdate.bind({ ...written(tenantId, source), revisionBefore }))
}

const sourceUpdate = touchingOne(
  'inbound_source_update',
  'conflict',
  (a: Written & { revisionBefore: number }) =>
    build
      .updateTable('inbound_source')
      .set(columnsOf(a))
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore)
      .where('deleted_at', 'is', null),
)

function columnsOf(a: Written) {
  return {
    name: a.name,
    settings: a.settings,
    secrets: a.secrets,
    secret_count: a.secretCount,
    secrets_changed_at: a.secretsChangedAt,
    allowed_ips: a.allowedIps,
    body_bytes_max: a.maxBodyBytes,
    throttle_per_second: a.throttlePerSecond,
    accepts_undedupable: a.acceptsUndedupable,
    status: a.status,
    revision: a.revision,
    updated_at: a.updatedAt,
  }
}

/** Queues the end of a source. Its secrets go with it; `nothing` is sealed in their place. */
export function deleteSource(
  tx: Tx,
  tenantId: TenantId,
  id: string,
  nothing: Buffer,
  now: Date,
): void {
  tx.queue(sourceDelete.bind({ tenantId, id, nothing, now }))
  tx.queue(indexDelete.bind({ tenantId, id }))
}

const sourceDelete = touchingOne(
  'inbound_source_delete',
  'conflict',
  (a: { tenantId: TenantId; id: string; nothing: Buffer; now: Date }) =>
    build
      .updateTable('inbound_source')
      .set({ deleted_at: a.now, secrets: a.nothing, secret_count: 0 })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('deleted_at', 'is', null),
)

const indexDelete = touchingOne(
  'source_index_delete',
  'conflict',
  (a: { tenantId: TenantId; id: string }) =>
    build
      .deleteFrom('source_index')
      .where('tenant_id', '=', a.tenantId)
      .where('source_id', '=', a.id),
)

/** Whose source it is: asked before there is a tenant, by one function that sees no more. */
export async function findTenantOf(readers: Readers, id: string): Promise<TenantId | undefined> {
  const rows = await readers.query<{ tenant: string | null }>(
    'select ubos_find_source($1) as tenant',
    [id],
  )
  const found = rows[0]?.tenant ?? undefined
  return found === undefined ? undefined : tenantId(found)
}

export async function findSource(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, sourceById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const sourceById = statement('inbound_source_by_id', selectOne)

/** Queues that the source is still as it was read; when it is not, the flush fails: `isOutdated`. */
export function expectSource(tx: Tx, tenantId: TenantId, { id, revision }: Source): void {
  tx.queue(sourceExpected.bind({ tenantId, id, revision }))
}

const sourceExpected = statement(
  'inbound_source_expected',
  (a: { tenantId: TenantId; id: string; revision: number }) =>
    raw(sql`select case when exists (
        select from inbound_source
        where tenant_id = ${a.tenantId} and id = ${a.id} and revision = ${a.revision}
          and deleted_at is null
      ) then 1 else ubos_raise('source_changed') end`),
)

export function isOutdated(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.message === 'source_changed'
}

/** The source, held against other changes until the transaction ends. */
export async function lockSource(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, sourceLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

const sourceLocked = statement('inbound_source_locked', (a: { tenantId: TenantId; id: string }) =>
  selectOne(a).forNoKeyUpdate(),
)

function selectOne(a: { tenantId: TenantId; id: string }) {
  return build
    .selectFrom('inbound_source')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('deleted_at', 'is', null)
}

/** How many sources the tenant has; until the transaction ends nobody else adds one. */
export async function countSources(tx: Tx, tenantId: TenantId): Promise<number> {
  await lockTenant(tx, tenantId)
  const [row] = await tx
    .selectFrom('inbound_source')
    .select((column) => column.fn.countAll<string>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
    .execute()
  return Number(row?.count ?? 0)
}

export interface SourceFilter extends CreationFilter {
  status?: Source['status'] | undefined
}

export async function pageSources(
  db: Db,
  tenantId: TenantId,
  filter: SourceFilter,
  page: PageRequest,
): Promise<Source[]> {
  const all = db
    .selectFrom('inbound_source')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
  let query = inOrderOfCreation(all, { prefix: 'src' }, filter, page)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  return (await query.execute()).map(fromRow)
}
