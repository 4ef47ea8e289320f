import { type Selectable, sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import { lockTenant } from '#db/tenant-lock.sql.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import type { WebhookHealthState } from '#generated/types.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { Endpoint } from './endpoint.ts'
import { optionColumns, optionColumnsOf, optionsFromRow, optionsToRow } from './options.sql.ts'
import { firstSecretId } from './secret.ts'

const columns = [
  'id',
  'url',
  'description',
  'event_types',
  'filter',
  'transformation',
  'has_transformed',
  'payload_version',
  'channel',
  ...optionColumns,
  'status',
  'disabled_reason',
  'disabled_at',
  'headers',
  'signature_schemes',
  'secret_id',
  'secret_created_at',
  'former_secrets',
  'revision',
  'created_at',
  'updated_at',
] as const

type Row = Pick<Selectable<Tables['webhook_endpoint']>, (typeof columns)[number]>

function fromRow(row: Row): Endpoint {
  const id = row.id as Id<'whe'>
  return {
    id,
    url: row.url,
    description: row.description,
    eventTypes: row.event_types,
    filter: row.filter as Endpoint['filter'],
    transformation: row.transformation,
    hasTransformed: row.has_transformed,
    payloadVersion: row.payload_version,
    channel: row.channel as Endpoint['channel'],
    options: optionsFromRow(row),
    status: row.status as Endpoint['status'],
    disabledReason: row.disabled_reason as Endpoint['disabledReason'],
    disabledAt: row.disabled_at,
    headers: (row.headers ?? []) as Endpoint['headers'],
    signatureSchemes: row.signature_schemes as Endpoint['signatureSchemes'][number][],
    secretId: (row.secret_id as Id<'whs'> | null) ?? firstSecretId(id),
    secretCreatedAt: row.secret_created_at ?? row.created_at,
    formerSecrets: (row.former_secrets ?? []) as Endpoint['formerSecrets'],
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

/** Its secrets are written when it is made and by rotations, and by nothing else. */
type Written = { tenantId: TenantId } & ReturnType<typeof toRow>

function toRow(endpoint: Endpoint) {
  const { secretId, secretCreatedAt, formerSecrets, options, ...rest } = endpoint
  return {
    ...rest,
    ...optionsToRow(options),
    eventTypes: [...endpoint.eventTypes] as string[],
    filter: JSON.stringify(endpoint.filter),
    signatureSchemes: [...endpoint.signatureSchemes] as string[],
    headers: endpoint.headers.length === 0 ? null : JSON.stringify(endpoint.headers),
  }
}

function written(tenantId: TenantId, endpoint: Endpoint): Written {
  return { tenantId, ...toRow(endpoint) }
}

/** Queues a new endpoint; `secret` is sealed for its place. */
export function insertEndpoint(
  tx: Tx,
  tenantId: TenantId,
  endpoint: Endpoint,
  secret: Buffer,
): void {
  tx.queue(endpointInsert.bind({ ...written(tenantId, endpoint), secret }))
}

const endpointInsert = statement('webhook_endpoint_insert', (a: Written & { secret: Buffer }) =>
  build.insertInto('webhook_endpoint').values({
    tenant_id: a.tenantId,
    id: a.id,
    secret: a.secret,
    created_at: a.createdAt,
    ...columnsOf(a),
  }),
)

export function updateEndpoint(tx: Tx, tenantId: TenantId, endpoint: Endpoint): void {
  const revisionBefore = endpoint.revision - 1
  tx.queue(endpointUpdate.bind({ ...written(tenantId, endpoint), revisionBefore }))
}

const endpointUpdate = touchingOne(
  'webhook_endpoint_update',
  'conflict',
  (a: Written & { revisionBefore: number }) =>
    build
      .updateTable('webhook_endpoint')
      .set(columnsOf(a))
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore)
      .where('deleted_at', 'is', null),
)

function columnsOf(a: Written) {
  return {
    url: a.url,
    description: a.description,
    event_types: a.eventTypes,
    headers: a.headers,
    signature_schemes: a.signatureSchemes,
    filter: a.filter,
    transformation: a.transformation,
    has_transformed: a.hasTransformed,
    payload_version: a.payloadVersion,
    channel: a.channel,
    ...optionColumnsOf(a),
    status: a.status,
    disabled_reason: a.disabledReason,
    disabled_at: a.disabledAt,
    revision: a.revision,
    updated_at: a.updatedAt,
  }
}

export function deleteEndpoint(tx: Tx, tenantId: TenantId, id: string, now: Date): void {
  tx.queue(endpointDelete.bind({ tenantId, id, now }))
}

const endpointDelete = touchingOne(
  'webhook_endpoint_delete',
  'conflict',
  (a: { tenantId: TenantId; id: string; now: Date }) =>
    build
      .updateTable('webhook_endpoint')
      .set({ deleted_at: a.now })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('deleted_at', 'is', null),
)

export async function findEndpoint(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, endpointById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const endpointById = statement('webhook_endpoint_by_id', selectOne)

/** The endpoint, held against other changes until the transaction ends. */
export async function lockEndpoint(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, endpointLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

const endpointLocked = statement(
  'webhook_endpoint_locked',
  (a: { tenantId: TenantId; id: string }) => selectOne(a).forNoKeyUpdate(),
)

function selectOne(a: { tenantId: TenantId; id: string }) {
  return build
    .selectFrom('webhook_endpoint')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('deleted_at', 'is', null)
}

/** How many endpoints the tenant has; until the transaction ends nobody else adds one. */
export async function countEndpoints(tx: Tx, tenantId: TenantId): Promise<number> {
  await lockTenant(tx, tenantId)
  const [row] = await tx
    .selectFrom('webhook_endpoint')
    .select((column) => column.fn.countAll<string>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
    .execute()
  return Number(row?.count ?? 0)
}

export interface EndpointFilter extends CreationFilter {
  status?: Endpoint['status'] | undefined
  health?: WebhookHealthState | undefined
}

export async function pageEndpoints(
  db: Db,
  tenantId: TenantId,
  filter: EndpointFilter,
  page: PageRequest,
): Promise<Endpoint[]> {
  const all = db
    .selectFrom('webhook_endpoint')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
  let query = inOrderOfCreation(all, { prefix: 'whe' }, filter, page)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  if (filter.health !== undefined) query = query.where(isDoing(filter.health))
  return (await query.execute()).map(fromRow)
}

/** Whether an endpoint is doing so; one without a row of health is well. */
function isDoing(state: WebhookHealthState) {
  if (state === 'DISABLED') return sql<boolean>`webhook_endpoint.status = 'DISABLED'`
  const known = sql`select from webhook_endpoint_health as health
    where health.tenant_id = webhook_endpoint.tenant_id
      and health.endpoint_id = webhook_endpoint.id`
  return state === 'HEALTHY'
    ? sql<boolean>`webhook_endpoint.status = 'ENABLED'
        and not exists (${known} and health.state <> 'HEALTHY')`
    : sql<boolean>`webhook_endpoint.status = 'ENABLED'
        and exists (${known} and health.state = ${state})`
}
