import { sql } from 'kysely'

/** An event as its row has it. */
interface EventRow {
  id: string
  type: string
  version: number
  occurred_at: Date
  body: Buffer | null
}

/**
 * The event at a `place` (a row of `event_position`, or of what has no position yet), to be joined
 * laterally. It is looked up for each: in a plain join the planner thinks that hardly any place has
 * an event, and reads all events of the tenant for each page.
 */
export const eventAtPlace = sql<EventRow>`(
  select event.id, event.type, event.version, event.occurred_at, event.body from event
  where event.tenant_id = place.tenant_id and event.id = place.event_id
    and event.created_on = place.created_on
  limit 1)`.as<'event'>(sql`event`)
