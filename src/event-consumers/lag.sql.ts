import type { Db } from '#db/database.ts'
import { findEnds } from '#events/event.sql.ts'
import { eventAtPlace } from '#events/place.sql.ts'
import { placeSelectedBy } from '#events/selector.sql.ts'
import type { TenantId } from '#ids.ts'

/** Positions among which waiting events are counted. */
const countedAmong = 100_000

export interface Waiting {
  count: number
  oldestAt: Date | null
}

/** The events that these selectors select and that wait between a position and the head; undefined is all. */
export async function countWaiting(
  db: Db,
  tenantId: TenantId,
  { after, head, types }: { after: number; head: number; types: readonly string[] | undefined },
): Promise<Waiting & { isExact: boolean }> {
  // What is behind the oldest place that is left is gone, and does not wait.
  const { first } = await findEnds(db, tenantId, after)
  const start = Math.max(after, first - 1)
  const end = Math.min(head, start + countedAmong)
  let waiting = db
    .selectFrom('event_position as place')
    .where('place.tenant_id', '=', tenantId)
    .where('place.position', '>', String(start))
    .where('place.position', '<=', String(end))
  if (types !== undefined) waiting = waiting.where(placeSelectedBy(types))
  const [row] = await db
    .selectNoFrom([
      waiting.select((column) => column.fn.countAll<string>().as('count')).as('count'),
      waiting
        .innerJoinLateral(eventAtPlace, (join) => join.onTrue())
        .select('event.occurred_at')
        .orderBy('place.position')
        .limit(1)
        .as('oldestAt'),
    ])
    .execute()
  return { count: Number(row?.count ?? 0), oldestAt: row?.oldestAt ?? null, isExact: end === head }
}
