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

/**
 * Makes the deliveries of sequenced events, in the sequencer's transaction: one for each endpoint
 * that wants the event. A disabled endpoint's are made too: nobody claims them until it is enabled.
 */
export function fanOutTo({ clock }: Context): FanOut {
  return async (read, events) => {
    const { rows } = await read(listenersOf(events))
    const listeners = Map.groupBy(rows as Listener[], (listener) => listener.tenant_id)
    const promises = events.flatMap((event) =>
      (listeners.get(event.tenantId) ?? [])
        .filter((listener) => isFor(listener, event))
        .map((listener) => ({ event, listener, id: clock.newId('whd') })),
    )
    if (promises.length === 0) return []
    const now = clock.now().toISOString()
    return [
      {
        name: 'fan_out',
        text: fanOutText,
        values: [
          promises.map(({ event }) => event.tenantId),
          promises.map(({ id }) => id),
          promises.map(({ id }) => dayOf(id)),
          promises.map(({ listener }) => listener.id),
          promises.map(({ event }) => event.eventId),
          promises.map(({ event }) => event.createdOn),
          promises.map(({ event }) => event.type),
          now,
        ],
      },
    ]
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

const fanOutText = `
  with promised as (
    select * from unnest($1::text[], $2::text[], $3::date[], $4::text[], $5::text[], $6::date[],
      $7::text[])
      as p (tenant_id, id, created_on, endpoint_id, event_id, event_created_on, event_type)
  ), due as (
    insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
      event_created_on, due_at, attempt_count, retry_count)
    select tenant_id, endpoint_id, id, created_on, event_id, event_created_on, $8, 0, 0
    from promised
  )
  insert into webhook_delivery (tenant_id, id, created_on, endpoint_id, event_id,
    event_created_on, event_type, status, attempt_count, created_at)
  select tenant_id, id, created_on, endpoint_id, event_id, event_created_on, event_type,
    'PENDING', 0, $8
  from promised`
