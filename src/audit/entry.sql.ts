import type { Selectable } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement } from '#db/statement.ts'
import type { Tables } from '#generated/tables.ts'
import { inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import { dayOf, type TenantId } from '#ids.ts'
import type { Entry } from './entry.ts'

const columns = [
  'id',
  'occurred_at',
  'action',
  'resource_id',
  'actor_type',
  'actor_id',
  'request_id',
  'correlation_id',
  'ip',
  'before',
  'after',
  'details',
] as const

type Row = Pick<Selectable<Tables['audit']>, (typeof columns)[number]>

function fromRow(row: Row): Entry {
  return {
    id: row.id,
    occurredAt: row.occurred_at,
    action: row.action,
    resourceId: row.resource_id,
    actorType: row.actor_type as Entry['actorType'],
    actorId: row.actor_id,
    requestId: row.request_id,
    correlationId: row.correlation_id,
    ip: row.ip,
    before: row.before as Entry['before'],
    after: row.after as Entry['after'],
    details: row.details as Entry['details'],
  }
}

export async function findEntry(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, entryById.bind({ tenantId, id, day: dayOf(id) }))
  return row && fromRow(row)
}

const entryById = statement('audit_by_id', (a: { tenantId: TenantId; id: string; day: string }) =>
  build
    .selectFrom('audit')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('created_on', '=', a.day),
)

export interface EntryFilter {
  action?: string | undefined
  resourceId?: string | undefined
  actorType?: Entry['actorType'] | undefined
  actorId?: string | undefined
  correlationId?: string | undefined
  requestId?: string | undefined
  /** From this moment on. */
  occurredAfter?: string | undefined
  occurredBefore?: string | undefined
  sort: '-occurredAt' | 'occurredAt'
}

/** In the order of the ids; the days that a bound rules out are not looked at. */
export async function pageEntries(
  db: Db,
  tenantId: TenantId,
  filter: EntryFilter,
  page: PageRequest,
): Promise<Entry[]> {
  const { occurredAfter: createdAfter, occurredBefore: createdBefore } = filter
  const isNewestFirst = filter.sort === '-occurredAt'
  const sort = isNewestFirst ? '-createdAt' : 'createdAt'
  const all = db.selectFrom('audit').select(columns).where('tenant_id', '=', tenantId)
  const inPeriod = { sort, createdAfter, createdBefore } as const
  let query = inOrderOfCreation(all, { prefix: 'aud', createdAt: 'occurred_at' }, inPeriod, page)
  for (const [column, value] of [
    ['action', filter.action],
    ['resource_id', filter.resourceId],
    ['actor_type', filter.actorType],
    ['actor_id', filter.actorId],
    ['correlation_id', filter.correlationId],
    ['request_id', filter.requestId],
  ] as const) {
    if (value !== undefined) query = query.where(column, '=', value)
  }
  // An entry is dated by its id, and lies in the partition of that day.
  if (createdAfter !== undefined) query = query.where('created_on', '>=', utcDay(createdAfter))
  if (createdBefore !== undefined) query = query.where('created_on', '<=', utcDay(createdBefore))
  if (page.after) {
    const day = dayOf(String(page.after[0]))
    query = query.where('created_on', isNewestFirst ? '<=' : '>=', day)
  }
  return (await query.execute()).map(fromRow)
}

const utcDay = (time: string): string => new Date(time).toISOString().slice(0, 10)
