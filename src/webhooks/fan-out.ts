import type pg from 'pg'
import type { Context } from '#context.ts'
import type { FanOut, SequencedEvent } from '#events/sequencer.ts'
import { dayOf } from '#ids.ts'
import { wants } from './endpoint.ts'

interface Listener {
  tenant_id: string
  id: string
  event_types: string[]
}

interface Promised {
  event: SequencedEvent
  listener: Listener
  id: string
}

/** Deliveries made in one pass: some 50 ms of inserting, which the events of others wait for. */
const deliveriesMax = 1_000

/**
 * Makes the deliveries of sequenced events, in the sequencer's transaction: one for each endpoint
 * that wants the event. A disabled endpoint's are made too: nobody claims them until it is enabled.
 */
export function fanOutTo({ clock }: Context): FanOut {
  return async (read, events) => {
    const { rows } = await read(listenersOf(events))
    const { taken, promised } = promise(events, rows as Listener[], () => clock.newId('whd'))
    // Ids made around midnight belong to two days.
    const byDay = Map.groupBy(promised, ({ id }) => dayOf(id))
    const statements = Array.from(byDay, ([day, made]) =>
      deliveriesOf(taken, made, day, clock.now()),
    )
    return { taken, statements: [...statements, ...matchedOf(promised)] }
  }
}

/**
 * Counts what was decided, apart from the deliveries that are made of it: what is matched must be
 * found in one state or another, or was lost (`balance.ts`).
 */
function matchedOf(promised: readonly Promised[]): pg.QueryConfig[] {
  if (promised.length === 0) return []
  const lanes = new Map<string, Matched>()
  for (const { event, listener, id } of promised) {
    const day = dayOf(id)
    const key = `${listener.id} ${day}`
    const lane = lanes.get(key) ?? {
      tenantId: event.tenantId,
      endpointId: listener.id,
      day,
      count: 0,
    }
    lanes.set(key, { ...lane, count: lane.count + 1 })
  }
  const counts = [...lanes.values()]
  return [
    {
      name: 'fan_out_matched',
      text: matchedText,
      values: [
        counts.map(({ tenantId }) => tenantId),
        counts.map(({ endpointId }) => endpointId),
        counts.map(({ day }) => day),
        counts.map(({ count }) => count),
      ],
    },
  ]
}

/** How many deliveries of an endpoint were decided for a day. */
interface Matched {
  tenantId: string
  endpointId: string
  day: string
  count: number
}

/** Of each tenant as many events as fit into its share of the deliveries, at least one. */
function promise(
  events: readonly SequencedEvent[],
  rows: readonly Listener[],
  newId: () => string,
): { taken: SequencedEvent[]; promised: Promised[] } {
  const listeners = Map.groupBy(rows, (listener) => listener.tenant_id)
  const share = deliveriesMax / new Set(events.map((event) => event.tenantId)).size
  const counts = new Map<string, number>()
  const taken: SequencedEvent[] = []
  const promised: Promised[] = []
  for (const event of events) {
    const told = listeners.get(event.tenantId)?.filter((each) => isFor(each, event)) ?? []
    const count = counts.get(event.tenantId) ?? 0
    const fits = count === 0 || count + told.length <= share
    // Once one does not fit, none behind it does: positions are given in order.
    counts.set(event.tenantId, fits ? count + told.length : Number.POSITIVE_INFINITY)
    if (!fits) continue
    taken.push(event)
    promised.push(...told.map((listener) => ({ event, listener, id: newId() })))
  }
  return { taken, promised }
}

/** What is so of an event is said once, however many are told of it. */
function deliveriesOf(
  events: readonly SequencedEvent[],
  promised: readonly Promised[],
  day: string,
  now: Date,
): pg.QueryConfig {
  const placeOf = new Map(events.map((event, at) => [event, at + 1]))
  return {
    name: 'fan_out',
    text: fanOutText,
    values: [
      events.map(({ tenantId }) => tenantId),
      events.map(({ eventId }) => eventId),
      events.map(({ createdOn }) => createdOn),
      events.map(({ type }) => type),
      promised.map(({ event }) => placeOf.get(event)),
      promised.map(({ id }) => id),
      promised.map(({ listener }) => listener.id),
      day,
      now.toISOString(),
    ],
  }
}

function isFor(listener: Listener, event: SequencedEvent): boolean {
  if (event.endpointId !== null) return event.endpointId === listener.id
  return wants(listener.event_types, event.type)
}

function listenersOf(events: readonly SequencedEvent[]): pg.QueryConfig {
  return {
    name: 'fan_out_listeners',
    text: `
      select tenant_id, id, event_types from webhook_endpoint
      where tenant_id = any($1) and deleted_at is null`,
    values: [[...new Set(events.map((event) => event.tenantId))]],
  }
}

const matchedText = `
  insert into webhook_matched as known (tenant_id, endpoint_id, day, matched)
  select * from unnest($1::text[], $2::text[], $3::date[], $4::bigint[])
  on conflict (tenant_id, endpoint_id, day)
    do update set matched = known.matched + excluded.matched`

const fanOutText = `
  with sequenced as (
    select * from unnest($1::text[], $2::text[], $3::date[], $4::text[]) with ordinality
      as e (tenant_id, event_id, event_created_on, event_type, place)
  ), promised as materialized (
    select tenant_id, id, endpoint_id, event_id, event_created_on, event_type
    from unnest($5::bigint[], $6::text[], $7::text[]) as p (place, id, endpoint_id)
    join sequenced using (place)
  ), due as (
    insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
      event_created_on, due_at, attempt_count, retry_count)
    select tenant_id, endpoint_id, id, $8, event_id, event_created_on, $9, 0, 0
    from promised
  )
  insert into webhook_delivery (tenant_id, id, created_on, endpoint_id, event_id,
    event_created_on, event_type, status, attempt_count, created_at)
  select tenant_id, id, $8, endpoint_id, event_id, event_created_on, event_type,
    'PENDING', 0, $9
  from promised`
