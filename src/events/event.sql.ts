import { type AliasableExpression, type RawBuilder, sql } from 'kysely'
import type { Db } from '#db/database.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import { dayOf, type TenantId } from '#ids.ts'
import type { PlacedEvent, StoredEvent } from './event.ts'
import { eventAtPlace } from './place.sql.ts'
import { placeSelectedBy } from './selector.sql.ts'
import { selects } from './selector.ts'

/** What an event says of itself, should its body have been erased. */
const eventColumns = [
  'event.id',
  'event.type',
  'event.version',
  'event.occurred_at',
  'event.body',
] as const

function selectEvents(db: Db, tenantId: TenantId) {
  return db
    .selectFrom('event')
    .leftJoin('event_position as place', (join) =>
      join
        .onRef('place.tenant_id', '=', 'event.tenant_id')
        .onRef('place.event_id', '=', 'event.id'),
    )
    .select([...eventColumns, 'place.position'])
    .where('event.tenant_id', '=', tenantId)
}

interface Row {
  id: string
  type: string
  version: number
  occurred_at: Date
  body: Buffer | null
  position: string | null
}

function fromRow({ id, type, version, occurred_at: occurredAt, body, position }: Row): StoredEvent {
  return {
    id,
    type,
    version,
    occurredAt,
    body,
    position: position === null ? null : Number(position),
  }
}

export async function findEvent(db: Db, tenantId: TenantId, id: string) {
  const [row] = await selectEvents(db, tenantId)
    .where('event.id', '=', id)
    .where('event.created_on', '=', dayOf(id))
    .execute()
  return row && fromRow(row)
}

export interface EventFilter {
  /** Selectors; undefined is all. */
  eventType?: readonly string[] | undefined
  occurredAfter?: string | undefined
  occurredBefore?: string | undefined
}

export interface EventPage {
  events: StoredEvent[]
  hasMore: boolean
}

/** Newest first; fewer than were asked for, where they would be too long for a page. */
export async function pageEvents(
  db: Db,
  tenantId: TenantId,
  { eventType: selectors, occurredAfter, occurredBefore }: EventFilter,
  page: PageRequest,
): Promise<EventPage> {
  const period = { createdAfter: occurredAfter, createdBefore: occurredBefore }
  const filter = { sort: '-createdAt', ...period } as const
  const query =
    selectors === undefined
      ? inOrderOfCreation(selectEvents(db, tenantId), { ...columns, id: 'event.id' }, filter, page)
      : newestOfTypes(db, tenantId, await typesOf(db, tenantId, selectors), filter, page)
  const found = await bounded(db, query, sql`page.id desc`)
  const events = found.slice(0, page.limit).filter(({ fits }) => fits)
  return { events: events.map(fromRow), hasMore: events.length < found.length }
}

const columns = { prefix: 'evt', createdAt: 'event.occurred_at' } as const

/** The newest of each type by itself, as the index has them, and of those the newest. */
function newestOfTypes(
  db: Db,
  tenantId: TenantId,
  types: readonly string[],
  filter: CreationFilter,
  page: PageRequest,
) {
  const wanted = sql<{ type: string }>`unnest(${types}::text[])`.as<'wanted'>(sql`wanted (type)`)
  const type = sql.ref<string>('wanted.type')
  const ofType = selectEventsOfType(db, tenantId, type)
  const newest = inOrderOfCreation(ofType, { ...columns, id: 'place.event_id' }, filter, page)
  return db
    .selectFrom(wanted)
    .crossJoinLateral(newest.as('newest'))
    .select(['newest.id', 'newest.type', 'newest.version', 'newest.occurred_at', 'newest.body'])
    .select('newest.position')
    .orderBy('newest.id', 'desc')
    .limit(page.limit + 1)
}

/** By way of the places, which know the type, and of what has no place yet. */
function selectEventsOfType(db: Db, tenantId: TenantId, type: RawBuilder<string>) {
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
    .innerJoinLateral(eventAtPlace, (join) => join.onTrue())
    .select([...eventColumns, 'place.position'])
}

/** What selectors select of the types that a tenant has events of; what was removed is among them. */
async function typesOf(db: Db, tenantId: TenantId, selectors: readonly string[]) {
  if (!selectors.some((selector) => selector.endsWith('*'))) return [...new Set(selectors)]
  const { rows } = await sql<{ type: string }>`
    with recursive placed (type) as (
      (select type from event_position where tenant_id = ${tenantId} order by type limit 1)
      union all
      select (select next.type from event_position as next
        where next.tenant_id = ${tenantId} and next.type > placed.type order by next.type limit 1)
      from placed where placed.type is not null
    )
    select type from placed where type is not null
    union select type from event_pending where tenant_id = ${tenantId}`.execute(db)
  return rows.map(({ type }) => type).filter((type) => selects(selectors, type))
}

/** Positions that one page of a feed looks through for events of its types. */
const lookedThroughMax = 10_000

/** A page of the feed, and up to which position it has looked. */
export interface FeedPage {
  events: PlacedEvent[]
  lookedTo: number
  /** The last position that there is. */
  head: number
}

/** From where on a page is wanted, how long, and of which types; undefined is all. */
export interface FeedRequest {
  after: number
  limit: number
  /** Selectors; undefined is all. */
  types?: readonly string[] | undefined
}

/**
 * The feed: by position, oldest first. Positions are given after the commit, so none is missed. What
 * is behind the oldest position that is left is gone; whoever was there goes on with that one.
 */
export async function pageFeed(
  db: Db,
  tenantId: TenantId,
  { after, limit, types }: FeedRequest,
): Promise<FeedPage> {
  // The ends first: what the head counts is there to be seen by then.
  const { first, head } = await findEnds(db, tenantId, after)
  const start = Math.max(after, first - 1)
  let query = db
    .selectFrom('event_position as place')
    .innerJoinLateral(eventAtPlace, (join) => join.onTrue())
    .select([...eventColumns, 'place.position'])
    .where('place.tenant_id', '=', tenantId)
    .where('place.position', '>', String(start))
    .where('place.position', '<=', String(start + lookedThroughMax))
    .orderBy('place.position', 'asc')
    .limit(limit)
  if (types !== undefined) query = query.where(placeSelectedBy(types))
  const found = await bounded(db, query, sql`page.position`)
  const events = found.filter(({ fits }) => fits).map(placed)
  const last = events.at(-1)?.position ?? start
  const isFull = found.length === limit || events.length < found.length
  if (isFull) return { events, lookedTo: last, head }
  // The page may have seen what came behind the head: nobody is shown that again.
  return { events, lookedTo: Math.max(last, Math.min(head, start + lookedThroughMax)), head }
}

function placed(row: Row): PlacedEvent {
  return { ...fromRow(row), position: Number(row.position) }
}

/** A page ends once it is about as long as this. */
const pageBytesMax = 1024 * 1024

/**
 * The rows in this order, and whether each still fits into the page: the first always does, whatever
 * its length. What does not fit is not sent.
 */
function bounded(db: Db, query: AliasableExpression<Row>, order: RawBuilder<unknown>) {
  const fits = sql<boolean>`coalesce(sum(octet_length(page.body)) over (
    order by ${order} rows between unbounded preceding and 1 preceding), 0) < ${sql.lit(pageBytesMax)}`
  return db
    .selectFrom(query.as('page'))
    .select(['page.id', 'page.type', 'page.version', 'page.occurred_at', 'page.position'])
    .select([sql<Buffer | null>`case when ${fits} then page.body end`.as('body'), fits.as('fits')])
    .orderBy(order)
    .execute()
}

/** The first place that is left behind one, and the last of all; 0 where there is none. */
export async function findEnds(db: Db, tenantId: TenantId, seen: number) {
  const [row] = await db
    .selectNoFrom((from) => {
      const places = from
        .selectFrom('event_position')
        .select('position')
        .where('tenant_id', '=', tenantId)
        .limit(1)
      return [
        places.where('position', '>', String(seen)).orderBy('position', 'asc').as('first'),
        places.orderBy('position', 'desc').as('head'),
      ]
    })
    .execute()
  return { first: Number(row?.first ?? 0), head: Number(row?.head ?? 0) }
}
