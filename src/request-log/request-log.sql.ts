import type { Selectable } from 'kysely'
import { sql } from 'kysely'
import type pg from 'pg'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement } from '#db/statement.ts'
import type { Tables } from '#generated/tables.ts'
import type { StatusClass } from '#generated/types.ts'
import type { PageRequest } from '#http/page.ts'
import { dayOf, firstIdAt, type Id, type TenantId, tenantId as tenantOf } from '#ids.ts'
import { hundredsOf, type RequestLog } from './request-log.ts'

/** Every column with its type and where its value comes from: what a batch is written by. */
const written: readonly [column: string, type: string, (log: RequestLog) => unknown][] = [
  ['tenant_id', 'text', (log) => log.tenantId],
  ['id', 'text', (log) => log.id],
  ['created_on', 'date', (log) => dayOf(log.id)],
  ['occurred_at', 'timestamptz', (log) => log.occurredAt.toISOString()],
  ['operation_id', 'text', (log) => log.operationId],
  ['method', 'text', (log) => log.method],
  ['path', 'text', (log) => log.path],
  ['status', 'int', (log) => log.status],
  ['code', 'text', (log) => log.code],
  ['duration_ms', 'float8', (log) => log.durationMs],
  ['auth_ms', 'float8', (log) => log.authMs],
  ['handler_ms', 'float8', (log) => log.handlerMs],
  ['api_key_id', 'text', (log) => log.apiKeyId],
  ['request_bytes', 'int', (log) => log.requestBytes],
  ['response_bytes', 'int', (log) => log.responseBytes],
  ['is_limited', 'bool', (log) => log.isLimited],
  ['limit_state', 'text', (log) => log.limitState],
  ['is_replay', 'bool', (log) => log.isReplay],
  ['correlation_id', 'text', (log) => log.correlationId],
  ['ip', 'text', (log) => log.ip],
  ['user_agent', 'text', (log) => log.userAgent],
  ['left_out_before', 'int', (log) => log.leftOutBefore],
  ['request_body', 'text', (log) => log.requestBody],
  ['response_body', 'text', (log) => log.responseBody],
]

const insertText = `
  insert into request_log (${written.map(([column]) => column).join(', ')})
  select * from unnest(${written.map(([, type], at) => `$${at + 1}::${type}[]`).join(', ')})
  on conflict do nothing`

/** Writes a batch, of any tenants, in one statement; what is there already stays as it is. */
export async function insertRequestLogs(
  worker: pg.Pool,
  logs: readonly RequestLog[],
): Promise<void> {
  const values = written.map(([, , read]) => logs.map(read))
  await worker.query({ name: 'request_log_insert', text: insertText, values })
}

const columns = [
  'tenant_id',
  'id',
  'occurred_at',
  'operation_id',
  'method',
  'path',
  'status',
  'code',
  'duration_ms',
  'auth_ms',
  'handler_ms',
  'api_key_id',
  'request_bytes',
  'response_bytes',
  'is_limited',
  'limit_state',
  'is_replay',
  'correlation_id',
  'ip',
  'user_agent',
  'left_out_before',
] as const

type Row = Pick<Selectable<Tables['request_log']>, (typeof columns)[number]> & {
  request_body?: string | null
  response_body?: string | null
}

function fromRow(row: Row): RequestLog {
  return {
    id: row.id as Id<'req'>,
    tenantId: tenantOf(row.tenant_id),
    occurredAt: row.occurred_at,
    operationId: row.operation_id,
    method: row.method,
    path: row.path,
    status: row.status,
    code: row.code,
    durationMs: row.duration_ms,
    authMs: row.auth_ms,
    handlerMs: row.handler_ms,
    apiKeyId: row.api_key_id,
    requestBytes: row.request_bytes,
    responseBytes: row.response_bytes,
    isLimited: row.is_limited,
    limitState: row.limit_state,
    isReplay: row.is_replay,
    correlationId: row.correlation_id,
    ip: row.ip,
    userAgent: row.user_agent,
    leftOutBefore: row.left_out_before,
    requestBody: row.request_body ?? null,
    responseBody: row.response_body ?? null,
  }
}

/** With its bodies. */
export async function findRequestLog(
  db: Db,
  tenantId: TenantId,
  id: string,
): Promise<RequestLog | undefined> {
  const row = await fetchOne(db, requestLogById.bind({ tenantId, id, day: dayOf(id) }))
  return row && fromRow(row)
}

const requestLogById = statement(
  'request_log_by_id',
  (a: { tenantId: TenantId; id: string; day: string }) =>
    build
      .selectFrom('request_log')
      .select([...columns, 'request_body', 'response_body'])
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('created_on', '=', a.day),
)

export interface RequestLogFilter {
  operationId?: string | undefined
  status?: number | undefined
  statusClass?: StatusClass | undefined
  apiKeyId?: string | undefined
  correlationId?: string | undefined
  occurredAfter?: string | undefined
  occurredBefore?: string | undefined
  sort: '-occurredAt' | 'occurredAt'
}

/**
 * Without bodies. Every filter has an index that goes on with the id, and times are ranges of ids;
 * among the statuses only errors are rare enough to need one.
 */
export async function pageRequestLogs(
  db: Db,
  tenantId: TenantId,
  filter: RequestLogFilter,
  page: PageRequest,
): Promise<RequestLog[]> {
  const isNewestFirst = filter.sort === '-occurredAt'
  let query = db
    .selectFrom('request_log')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .orderBy('id', isNewestFirst ? 'desc' : 'asc')
    .limit(page.limit + 1)
  const { operationId, apiKeyId, correlationId, status } = filter
  if (operationId !== undefined) query = query.where('operation_id', '=', operationId)
  if (apiKeyId !== undefined) query = query.where('api_key_id', '=', apiKeyId)
  if (correlationId !== undefined) query = query.where('correlation_id', '=', correlationId)
  if (status !== undefined) query = query.where('status', '=', status)
  for (const hundreds of hundredsIn(filter)) {
    query = query.where(sql`status / 100`, '=', hundreds)
    // In so many words, so that the index of errors is seen to fit.
    if (hundreds >= 4) query = query.where('status', '>=', sql.lit(400))
  }
  const range = rangeOf(filter, page, isNewestFirst)
  if (range.from !== undefined) {
    const bound = range.isAfter ? '>' : '>='
    query = query.where('id', bound, range.from).where('created_on', '>=', dayOf(range.from))
  }
  if (range.to !== undefined) {
    query = query.where('id', '<', range.to).where('created_on', '<=', dayOf(range.to))
  }
  return (await query.execute()).map(fromRow)
}

function hundredsIn({ status, statusClass }: RequestLogFilter): number[] {
  const hundreds = new Set<number>()
  if (status !== undefined) hundreds.add(Math.floor(status / 100))
  if (statusClass !== undefined) hundreds.add(hundredsOf[statusClass])
  return [...hundreds]
}

/** The range of ids that times and cursor leave: from one on, or after it, up to another. */
function rangeOf(filter: RequestLogFilter, page: PageRequest, isNewestFirst: boolean) {
  const after = filter.occurredAfter && firstIdAt('req', Date.parse(filter.occurredAfter))
  const before = filter.occurredBefore && firstIdAt('req', Date.parse(filter.occurredBefore))
  const place = page.after && String(page.after[0])
  if (place === undefined) return { from: after, to: before, isAfter: false }
  return isNewestFirst
    ? { from: after, to: place, isAfter: false }
    : { from: place, to: before, isAfter: true }
}
