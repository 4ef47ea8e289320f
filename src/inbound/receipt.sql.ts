import { type Selectable, sql } from 'kysely'
import pg from 'pg'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import { dayOf, type Id, type TenantId } from '#ids.ts'
import type { Payload, Receipt } from './receipt.ts'
import type { Selection } from './reprocessing.ts'

const columns = [
  'id',
  'source_id',
  'scheme',
  'status',
  'provider_event_id',
  'event_type',
  'signed_at',
  'is_drift',
  'is_deduplicated',
  'ip',
  'body_bytes',
  'forward_count',
  'correlation_id',
  'received_at',
  'processed_at',
] as const

type Row = Pick<Selectable<Tables['inbound_receipt']>, (typeof columns)[number]>

function fromRow(row: Row): Receipt {
  return {
    id: row.id as Id<'rcp'>,
    sourceId: row.source_id,
    scheme: row.scheme as Receipt['scheme'],
    status: row.status as Receipt['status'],
    providerEventId: row.provider_event_id,
    eventType: row.event_type,
    signedAt: row.signed_at,
    isDrift: row.is_drift,
    isDeduplicated: row.is_deduplicated,
    ip: row.ip,
    bodyBytes: row.body_bytes,
    forwardCount: row.forward_count,
    correlationId: row.correlation_id,
    receivedAt: row.received_at,
    processedAt: row.processed_at,
  }
}

interface NewReceipt extends Receipt {
  tenantId: TenantId
  day: string
  headers: string
  body: Buffer
}

/** Queues a new receipt with its bytes. */
export function insertReceipt(
  tx: Tx,
  tenantId: TenantId,
  receipt: Receipt,
  { headers, body }: { headers: Readonly<Record<string, string>>; body: Buffer },
): void {
  const day = dayOf(receipt.id)
  const written = { tenantId, day, ...receipt, headers: JSON.stringify(headers), body }
  tx.queue(receiptInsert.bind(written))
}

const receiptInsert = statement('inbound_receipt_insert', (a: NewReceipt) =>
  build.insertInto('inbound_receipt').values({
    tenant_id: a.tenantId,
    id: a.id,
    created_on: a.day,
    source_id: a.sourceId,
    scheme: a.scheme,
    status: a.status,
    provider_event_id: a.providerEventId,
    event_type: a.eventType,
    signed_at: a.signedAt,
    is_drift: a.isDrift,
    is_deduplicated: a.isDeduplicated,
    ip: a.ip,
    headers: a.headers,
    body: a.body,
    body_bytes: a.bodyBytes,
    correlation_id: a.correlationId,
    received_at: a.receivedAt,
    processed_at: a.processedAt,
    forward_count: a.forwardCount,
  }),
)

interface DedupeKey {
  tenantId: TenantId
  sourceId: string
  key: Buffer
  receiptId: string
  receivedAt: Date
}

/** Queues by what a second copy will be known. For a second copy the flush fails: `isSecondCopy`. */
export function insertDedupe(tx: Tx, tenantId: TenantId, receipt: Receipt, key: Buffer): void {
  const { id: receiptId, sourceId, receivedAt } = receipt
  tx.queue(dedupeInsert.bind({ tenantId, sourceId, key, receiptId, receivedAt }))
}

const dedupeInsert = statement('inbound_dedupe_insert', (a: DedupeKey) =>
  build.insertInto('inbound_dedupe').values({
    tenant_id: a.tenantId,
    source_id: a.sourceId,
    dedupe_key: a.key,
    receipt_id: a.receiptId,
    received_at: a.receivedAt,
  }),
)

export function isSecondCopy(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.constraint === 'inbound_dedupe_pkey'
}

/** The receipt with its payload, held against other changes until the transaction ends. */
export async function lockReceipt(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, receiptLocked.bind({ tenantId, id, day: dayOf(id) }))
  return row && { receipt: fromRow(row), payload: payloadOf(row) }
}

const receiptLocked = statement(
  'inbound_receipt_locked',
  (a: { tenantId: TenantId; id: string; day: string }) => selectOne(a).forNoKeyUpdate(),
)

export async function findReceipt(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, receiptById.bind({ tenantId, id, day: dayOf(id) }))
  return row && { receipt: fromRow(row), payload: payloadOf(row) }
}

const receiptById = statement('inbound_receipt_by_id', selectOne)

function selectOne(a: { tenantId: TenantId; id: string; day: string }) {
  return build
    .selectFrom('inbound_receipt')
    .select([...columns, 'headers', 'body'])
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('created_on', '=', a.day)
}

function payloadOf({
  headers,
  body,
}: Pick<Selectable<Tables['inbound_receipt']>, 'headers' | 'body'>): Payload {
  return { headers: headers as Payload['headers'], body }
}

export interface ReceiptFilter {
  sourceId?: string | undefined
  status?: Receipt['status'] | undefined
  providerEventId?: string | undefined
  eventType?: string | undefined
  receivedAfter?: string | undefined
  receivedBefore?: string | undefined
  sort: '-receivedAt' | 'receivedAt'
}

/** Without payloads. */
export async function pageReceipts(
  db: Db,
  tenantId: TenantId,
  filter: ReceiptFilter,
  page: PageRequest,
): Promise<Receipt[]> {
  const all = db.selectFrom('inbound_receipt').select(columns).where('tenant_id', '=', tenantId)
  const order: CreationFilter = {
    sort: filter.sort === 'receivedAt' ? 'createdAt' : '-createdAt',
    createdAfter: filter.receivedAfter,
    createdBefore: filter.receivedBefore,
  }
  let query = inOrderOfCreation(all, { prefix: 'rcp', createdAt: 'received_at' }, order, page)
  if (filter.sourceId !== undefined) query = query.where('source_id', '=', filter.sourceId)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  const { providerEventId, eventType } = filter
  if (providerEventId !== undefined) query = query.where('provider_event_id', '=', providerEventId)
  if (eventType !== undefined) query = query.where('event_type', '=', eventType)
  return (await query.execute()).map(fromRow)
}

/** The next receipts of a selection that have a payload, by id, held until the transaction ends. */
export async function lockSelected(
  tx: Tx,
  tenantId: TenantId,
  { status, sourceId, eventType = null, receivedAfter, receivedBefore, askedAt }: Selection,
  afterId: string,
  limit: number,
): Promise<Receipt[]> {
  const all = tx
    .selectFrom('inbound_receipt')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .where('status', '=', status)
    .where('body', 'is not', null)
    .where('processed_at', '<', new Date(askedAt))
  const period = { createdAfter: receivedAfter ?? undefined, createdBefore: receivedBefore }
  const order: CreationFilter = { sort: 'createdAt', ...period }
  const page = { limit: limit - 1, after: afterId === '' ? undefined : [afterId] }
  let query = inOrderOfCreation(all, { prefix: 'rcp', createdAt: 'received_at' }, order, page)
  if (sourceId !== null) query = query.where('source_id', '=', sourceId)
  if (eventType !== null) query = query.where('event_type', '=', eventType)
  return (await query.forNoKeyUpdate().execute()).map(fromRow)
}

/** Those that wait are passed on, once; answers them as they are then. The others are left alone. */
export async function forwardReceipts(
  tx: Tx,
  tenantId: TenantId,
  ids: readonly string[],
  now: Date,
): Promise<Receipt[]> {
  const days = [...new Set(ids.map(dayOf))]
  const { rows } = await tx.executeQuery<Row>(receiptsForward.bind({ tenantId, ids, days, now }))
  return rows.map(fromRow)
}

const receiptsForward = statement(
  'inbound_receipts_forward',
  (a: { tenantId: TenantId; ids: readonly string[]; days: readonly string[]; now: Date }) =>
    build
      .updateTable('inbound_receipt')
      .set(({ eb }) => ({
        status: 'FORWARDED',
        processed_at: a.now,
        forward_count: eb('forward_count', '+', 1),
      }))
      .where('tenant_id', '=', a.tenantId)
      .where(sql<boolean>`id = any(${a.ids}::text[])`)
      .where(sql<boolean>`created_on = any(${a.days}::date[])`)
      .where('status', '=', 'RECEIVED')
      .returning(columns),
)

/** Queues where a receipt stands; it is held by `lockReceipt`. */
export function updateReceipt(tx: Tx, tenantId: TenantId, receipt: Receipt): void {
  const { id, status, processedAt, forwardCount } = receipt
  tx.queue(receiptUpdate.bind({ tenantId, id, day: dayOf(id), status, processedAt, forwardCount }))
}

const receiptUpdate = touchingOne(
  'inbound_receipt_update',
  'conflict',
  (
    a: { tenantId: TenantId; day: string } & Pick<
      Receipt,
      'id' | 'status' | 'processedAt' | 'forwardCount'
    >,
  ) =>
    build
      .updateTable('inbound_receipt')
      .set({ status: a.status, processed_at: a.processedAt, forward_count: a.forwardCount })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('created_on', '=', a.day),
)
