import type { Selectable } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { SecurityEvent } from './security-event.ts'
import { hourOf, type Refusals } from './tally.ts'

/** Queues a security event; a second one of a key, kind and hour is refused by its constraint. */
export function insertSecurityEvent(tx: Tx, tenantId: TenantId, event: SecurityEvent): void {
  tx.queue(eventInsert.bind({ tenantId, ...event, reasons: [...event.reasons] }))
}

const eventInsert = statement(
  'api_security_event_insert',
  (a: { tenantId: TenantId } & Omit<SecurityEvent, 'reasons'> & { reasons: string[] }) =>
    build.insertInto('api_security_event').values({
      tenant_id: a.tenantId,
      id: a.id,
      kind: a.kind,
      severity: a.severity,
      api_key_id: a.apiKeyId,
      ip: a.ip,
      count: a.count,
      occurred_at: a.occurredAt,
      hour: a.hour,
      reasons: a.reasons,
    }),
)

interface OneHour {
  tenantId: TenantId
  keyId: string
  kind: string
  hour: Date
}

/** The id of the event that refusals of this key, kind and hour are added to. */
export async function findHour(tx: Tx, tenantId: TenantId, refused: Refusals) {
  const { keyId, kind, firstAt } = refused
  const row = await fetchOne(tx, hourByKey.bind({ tenantId, keyId, kind, hour: hourOf(firstAt) }))
  return row?.id
}

const hourByKey = statement('api_security_event_hour', (a: OneHour) =>
  build
    .selectFrom('api_security_event')
    .select('id')
    .where('tenant_id', '=', a.tenantId)
    .where('api_key_id', '=', a.keyId)
    .where('kind', '=', a.kind)
    .where('hour', '=', a.hour),
)

/** Queues that more was refused in an hour that has an event. */
export function addToHour(tx: Tx, tenantId: TenantId, id: string, refused: Refusals): void {
  tx.queue(hourAdd.bind({ tenantId, id, ip: refused.ip, count: String(refused.count) }))
}

const hourAdd = touchingOne(
  'api_security_event_add',
  'conflict',
  (a: { tenantId: TenantId; id: string; ip: string | null; count: string }) =>
    build
      .updateTable('api_security_event')
      .set((column) => ({ ip: a.ip, count: column('count', '+', a.count) }))
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id),
)

interface EventFilter extends CreationFilter {
  apiKeyId?: string | undefined
  kind?: string | undefined
}

export async function pageSecurityEvents(
  db: Db,
  tenantId: TenantId,
  { apiKeyId, kind, ...order }: EventFilter,
  page: PageRequest,
): Promise<SecurityEvent[]> {
  const all = db.selectFrom('api_security_event').selectAll().where('tenant_id', '=', tenantId)
  let query = inOrderOfCreation(all, { prefix: 'sec' }, order, page)
  if (apiKeyId) query = query.where('api_key_id', '=', apiKeyId)
  if (kind) query = query.where('kind', '=', kind)
  return (await query.execute()).map(fromRow)
}

function fromRow(row: Selectable<Tables['api_security_event']>): SecurityEvent {
  return {
    id: row.id as Id<'sec'>,
    kind: row.kind as SecurityEvent['kind'],
    severity: row.severity as SecurityEvent['severity'],
    apiKeyId: row.api_key_id,
    ip: row.ip,
    count: Number(row.count),
    occurredAt: row.occurred_at,
    hour: row.hour,
    reasons: row.reasons,
  }
}
