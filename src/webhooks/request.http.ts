import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import { findEvent } from '#events/event.sql.ts'
import type { StoredEvent } from '#events/event.ts'
import type { Call, Operation } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { countMatched } from './balance.sql.ts'
import { type Delivery, isTooOld, toDelivery, waitDaysMax, wellEndpoint } from './delivery.ts'
import { at, requireEndpoints } from './named-endpoints.ts'
import { findFirstDue, insertRequested, type Requested } from './request.sql.ts'

/** Promises an event to endpoints once more, or for the first time, past what they subscribed to. */
export const createWebhookDeliveries: Operation<'createWebhookDeliveries'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  const { eventId, endpointIds, options: { priority = 'NORMAL' } = {} } = body
  const event = await requireEvent(tx, call, eventId)
  const endpoints = await requireEndpoints(tx, call.tenantId, endpointIds)
  const first = priority === 'HIGH' ? await findFirstDue(tx, call.tenantId, endpointIds) : new Map()

  const deliveries = endpoints.map(
    (endpoint): Requested => ({
      id: tx.newId('whd'),
      ...{ endpointId: endpoint.id, isTransformed: endpoint.transformation !== null },
      ...{ eventId, eventType: event.type, createdAt: call.now },
      dueAt: justBefore(first.get(endpoint.id), call.now),
    }),
  )
  for (const delivery of deliveries) insertRequested(tx, call.tenantId, delivery)
  const ids = deliveries.map(({ id }) => id)
  countMatched(tx, call.tenantId, ids, endpointIds)
  record(tx, call, 'webhook_delivery.requested', eventId, { after: { endpointIds, priority } })
  return { status: 202, body: { deliveries: deliveries.map((one) => toRequested(one, call.now)) } }
}

/** What is due earlier goes first: a moment before the first that waits, and now at the latest. */
function justBefore(first: Date | undefined, now: Date): Date {
  return new Date(Math.min(now.getTime(), (first?.getTime() ?? Number.POSITIVE_INFINITY) - 1))
}

async function requireEvent(tx: Tx, call: Call, eventId: string): Promise<StoredEvent> {
  const event = await findEvent(tx, call.tenantId, eventId)
  if (!event?.body) {
    throw problem('reference_unknown', at('/eventId', 'names no event whose payload is there'))
  }
  if (isTooOld({ createdAt: event.occurredAt }, call.now)) {
    throw problem('invalid_state', at('/eventId', `is of more than ${waitDaysMax} days ago`))
  }
  return event
}

function toRequested({ dueAt, isTransformed: _, ...requested }: Requested, now: Date) {
  const delivery: Delivery = {
    ...requested,
    ...{ webhookId: requested.eventId, status: 'PENDING', attemptCount: 0, nextAttemptAt: dueAt },
    ...{ lastAttemptAt: null, deliveredAt: null, lastResponseStatus: null, retryCount: 0 },
    ...wellEndpoint,
  }
  return toDelivery(delivery, now)
}
