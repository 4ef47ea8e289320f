import type pg from 'pg'
import type { Context } from '#context.ts'
import { selects } from '#events/selector.ts'
import type { FanOut, SequencedEvent } from '#events/sequencer.ts'
import { dayOf } from '#ids.ts'
import { type Filter, passes } from './filter.ts'

interface Listener {
  tenant_id: string
  id: string
  event_types: string[]
  /** null lets all events through. */
  filter: Filter | null
  /** Whether something else is sent in place of the event. */
  isTransformed: boolean
  ordering: string
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
    const listeners = Map.groupBy(rows as Listener[], (listener) => listener.tenant_id)
    const sifted = events.filter((event) => listeners.get(event.tenantId)?.some(sifts(event)))
    const payloads = await payloadsOf(read, sifted)
    const { taken, promised } = promise(events, listeners, payloads, () => clock.newId('whd'))
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
  listeners: ReadonlyMap<string, Listener[]>,
  payloads: Payloads,
  newId: () => string,
): { taken: SequencedEvent[]; promised: Promised[] } {
  const share = deliveriesMax / new Set(events.map((event) => event.tenantId)).size
  const counts = new Map<string, number>()
  const taken: SequencedEvent[] = []
  const promised: Promised[] = []
  for (const event of events) {
    const isFor = matcher(event, payloads)
    const told = isFor && (listeners.get(event.tenantId)?.filter(isFor) ?? [])
    const count = counts.get(event.tenantId) ?? 0
    const fits = told !== undefined && (count === 0 || count + told.length <= share)
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
      promised.map(({ listener }) => listener.isTransformed),
      promised.map(({ listener }) => listener.ordering === 'RESOURCE'),
      events.map(({ position }) => position),
    ],
  }
}

/** Tells which listeners are told of an event; undefined when its payload waits for another pass. */
function matcher(event: SequencedEvent, payloads: Payloads) {
  const payload = payloads.get(event)
  if (payload === 'later') return undefined
  return (listener: Listener): boolean => {
    if (event.endpointId !== null) return event.endpointId === listener.id
    if (!selects(listener.event_types, event.type)) return false
    return listener.filter === null || passes(listener.filter, payload)
  }
}

/** Whether what an event says decides if a listener is told of it. */
function sifts(event: SequencedEvent) {
  return ({ event_types, filter }: Listener): boolean =>
    filter !== null && event.endpointId === null && selects(event_types, event.type)
}

/** What events say, for those that a filter asks; `later` is one that this pass has no room for. */
type Payloads = ReadonlyMap<SequencedEvent, unknown>

/** Bytes of payloads read in one pass, but for the first of each tenant. */
const payloadBytesMax = 8 * 1024 * 1024

/** Reads what filters ask about, in one statement, or nothing when none asks. */
async function payloadsOf(
  read: Parameters<FanOut>[0],
  events: readonly SequencedEvent[],
): Promise<Payloads> {
  if (events.length === 0) return new Map()
  const { rows } = await read({
    name: 'fan_out_payloads',
    text: payloadsText,
    values: [
      events.map(({ tenantId }) => tenantId),
      events.map(({ eventId }) => eventId),
      events.map(({ createdOn }) => createdOn),
      Math.floor(payloadBytesMax / new Set(events.map((event) => event.tenantId)).size),
    ],
  })
  const bodies = new Map(rows.map((row) => [row.event_id, row.body as Buffer | null]))
  return new Map(
    events.map((event) => {
      const body = bodies.get(event.eventId)
      if (body === undefined) return [event, 'later']
      return [event, body === null ? undefined : JSON.parse(body.toString('utf8'))]
    }),
  )
}

const payloadsText = `
  select event_id, body from (
    select given.event_id, event.body, coalesce(sum(octet_length(event.body)) over (
      partition by given.tenant_id order by given.place
      rows between unbounded preceding and 1 preceding), 0) as bytes_before
    from unnest($1::text[], $2::text[], $3::date[]) with ordinality
      as given (tenant_id, event_id, created_on, place)
    left join lateral (
      select body from event where tenant_id = given.tenant_id and id = given.event_id
        and created_on = given.created_on offset 0
    ) as event on true
  ) as sized where bytes_before < $4`

function listenersOf(events: readonly SequencedEvent[]): pg.QueryConfig {
  return {
    name: 'fan_out_listeners',
    text: `
      select tenant_id, id, event_types, nullif(filter, '[]') as filter,
        transformation is not null as "isTransformed", ordering from webhook_endpoint
      where tenant_id = any($1) and deleted_at is null`,
    values: [[...new Set(events.map((event) => event.tenantId))]],
  }
}

const matchedText = `
  insert into webhook_matched as known (tenant_id, endpoint_id, day, matched)
  select * from unnest($1::text[], $2::text[], $3::date[], $4::bigint[]) order by 1, 2, 3
  on conflict (tenant_id, endpoint_id, day)
    do update set matched = known.matched + excluded.matched`

const fanOutText = `
  with sequenced as (
    select * from unnest($1::text[], $2::text[], $3::date[], $4::text[], $12::bigint[])
      with ordinality as e (tenant_id, event_id, event_created_on, event_type, position, place)
  ), promised as materialized (
    select tenant_id, id, endpoint_id, event_id, event_created_on, event_type, is_transformed,
      is_ordered, position, place
    from unnest($5::bigint[], $6::text[], $7::text[], $10::boolean[], $11::boolean[])
      as p (place, id, endpoint_id, is_transformed, is_ordered)
    join sequenced using (place)
  ), resources as materialized (
    select place, ubos_resource_in(event.body) as order_key
    from (
      select distinct place, tenant_id, event_id, event_created_on from promised where is_ordered
    ) as ordered cross join lateral (
      select body from event where tenant_id = ordered.tenant_id and id = ordered.event_id
        and created_on = ordered.event_created_on offset 0
    ) as event
  ), due as (
    insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
      event_created_on, due_at, attempt_count, retry_count, order_key, position)
    select tenant_id, endpoint_id, id, $8, event_id, event_created_on, $9, 0, 0, order_key,
      case when order_key is not null then position end
    from promised left join resources
      on is_ordered and resources.place = promised.place
  )
  insert into webhook_delivery (tenant_id, id, created_on, endpoint_id, event_id,
    event_created_on, event_type, is_transformed, status, attempt_count, created_at)
  select tenant_id, id, $8, endpoint_id, event_id, event_created_on, event_type, is_transformed,
    'PENDING', 0, $9
  from promised`
