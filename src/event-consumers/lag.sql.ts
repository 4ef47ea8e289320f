import type { Db } from '#db/database.ts'
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
  const end = Math.min(head, after + countedAmong)
  let waiting = db
    .selectFrom('event_position as place')
    .where('place.tenant_id', '=', tenantId)
    .where('place.position', '>', String(after))
    .where('place.position', '<=', String(end))
  if (types !== undefined) waiting = waiting.where(placeSelectedBy(types))
  const [row] = await db
    .selectNoFrom([
      waiting.select((column) => column.fn.countAll<string>().as('count')).as('count'),
      waiting
        .innerJoin('event', (join) =>
          join
            .onRef('event.tenant_id', '=', 'place.tenant_id')
            .onRef('event.id', '=', 'place.event_id')
            .onRef('event.created_on', '=', 'place.created_on'),
        )
        .select('event.occurred_at')
        .orderBy('place.position')
        .limit(1)
        .as('oldestAt'),
    ])
    .execute()
  return { count: Number(row?.count ?? 0), oldestAt: row?.oldestAt ?? null, isExact: end === head }
}
