import { sql } from 'kysely'
import type { Db } from '#db/database.ts'
import { inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import { dayOf, type TenantId } from '#ids.ts'
import type { StoredEvent } from './event.ts'

function selectEvents(db: Db, tenantId: TenantId) {
  return db
    .selectFrom('event')
    .leftJoin('event_position as place', (join) =>
      join
        .onRef('place.tenant_id', '=', 'event.tenant_id')
        .onRef('place.event_id', '=', 'event.id'),
    )
    .select(['event.id', 'event.body', 'place.position'])
    .where('event.tenant_id', '=', tenantId)
}

interface Row {
  id: string
  body: Buffer
  position: string | null
}

function fromRow({ id, body, position }: Row): StoredEvent {
  return { id, body, position: position === null ? null : Number(position) }
}

export async function findEvent(db: Db, tenantId: TenantId, id: string) {
  const [row] = await selectEvents(db, tenantId)
    .where('event.id', '=', id)
    .where('event.created_on', '=', dayOf(id))
    .execute()
  return row && fromRow(row)
}

export interface EventFilter {
  type?: string | undefined
  occurredAfter?: string | undefined
  occurredBefore?: string | undefined
}

/** Newest first. */
export async function pageEvents(
  db: Db,
  tenantId: TenantId,
  { type, occurredAfter, occurredBefore }: EventFilter,
  page: PageRequest,
): Promise<StoredEvent[]> {
  const columns = { prefix: 'evt', id: 'event.id', createdAt: 'event.occurred_at' } as const
  const period = { createdAfter: occurredAfter, createdBefore: occurredBefore }
  const newestFirst = { sort: '-createdAt', ...period } as const
  const query =
    type === undefined
      ? inOrderOfCreation(selectEvents(db, tenantId), columns, newestFirst, page)
      : inOrderOfCreation(
          selectEventsOfType(db, tenantId, type),
          { ...columns, id: 'place.event_id' },
          newestFirst,
          page,
        )
  return (await query.execute()).map(fromRow)
}

/** By way of the places, which know the type, and of what has no place yet. */
function selectEventsOfType(db: Db, tenantId: TenantId, type: string) {
  return db
    .selectFrom((from) =>
      from
        .selectFrom('event_position')
        .select(['tenant_id', 'event_id', 'created_on', 'position'])
        .where('tenant_id', '=', tenantId)
        .where('type', '=', type)
        .unionAll(
          from
            .selectFrom('event_pending')
            .select(['tenant_id', 'event_id', 'created_on'])
            .select(sql<string>`null::bigint`.as('position'))
            .where('tenant_id', '=', tenantId)
            .where('type', '=', type),
        )
        .as('place'),
    )
    .innerJoin('event', (join) =>
      join
        .onRef('event.tenant_id', '=', 'place.tenant_id')
        .onRef('event.id', '=', 'place.event_id')
        .onRef('event.created_on', '=', 'place.created_on'),
    )
    .select(['event.id', 'event.body', 'place.position'])
}

/** Positions that one page of a feed looks through for events of its type. */
const lookedThroughMax = 10_000

/** A page of the feed, and up to which position it has looked. */
export interface FeedPage {
  events: StoredEvent[]
  lookedTo: number
}

/** The feed: by position, oldest first. Positions are given after the commit, so none is missed. */
export async function pageFeed(
  db: Db,
  tenantId: TenantId,
  type: string | undefined,
  { limit, after }: PageRequest,
): Promise<FeedPage> {
  const start = Number(after?.[0] ?? 0)
  let query = db
    .selectFrom('event_position as place')
    .innerJoin('event', (join) =>
      join
        .onRef('event.tenant_id', '=', 'place.tenant_id')
        .onRef('event.id', '=', 'place.event_id')
        .onRef('event.created_on', '=', 'place.created_on'),
    )
    .select(['event.id', 'event.body', 'place.position'])
    .where('place.tenant_id', '=', tenantId)
    .where('place.position', '>', String(start))
    .where('place.position', '<=', String(start + lookedThroughMax))
    .orderBy('place.position', 'asc')
    .limit(limit)
  if (type !== undefined) query = query.where('place.type', '=', type)
  // The head first: what it counts is there to be seen by then.
  const head = await findHead(db, tenantId)
  const events = (await query.execute()).map(fromRow)
  const last = events.at(-1)?.position ?? start
  if (events.length === limit) return { events, lookedTo: last }
  // The page may have seen what came behind the head: nobody is shown that again.
  return { events, lookedTo: Math.max(last, Math.min(head, start + lookedThroughMax)) }
}

async function findHead(db: Db, tenantId: TenantId): Promise<number> {
  const [row] = await db
    .selectFrom('event_position')
    .select('position')
    .where('tenant_id', '=', tenantId)
    .orderBy('position', 'desc')
    .limit(1)
    .execute()
  return Number(row?.position ?? 0)
}
