import type { Db } from '#db/database.ts'
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

/** Newest first. */
export async function pageEvents(
  db: Db,
  tenantId: TenantId,
  { type }: { type?: string | undefined },
  page: PageRequest,
): Promise<StoredEvent[]> {
  let query = selectEvents(db, tenantId)
    .orderBy('event.id', 'desc')
    .limit(page.limit + 1)
  if (type !== undefined) query = query.where('event.type', '=', type)
  if (page.after) query = query.where('event.id', '<', String(page.after[0]))
  return (await query.execute()).map(fromRow)
}

/** The feed: by position, oldest first. Positions are given after the commit, so none is missed. */
export async function pageFeed(
  db: Db,
  tenantId: TenantId,
  { type }: { type?: string | undefined },
  page: PageRequest,
): Promise<StoredEvent[]> {
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
    .orderBy('place.position', 'asc')
    .limit(page.limit + 1)
  if (type !== undefined) query = query.where('place.type', '=', type)
  if (page.after) query = query.where('place.position', '>', String(page.after[0]))
  return (await query.execute()).map(fromRow)
}
