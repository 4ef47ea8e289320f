import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import { findEvent } from '#events/event.sql.ts'
import { isEventType } from '#events/event.ts'
import { findOwnType, findSelectable } from '#events/own-type.sql.ts'
import { toOwnType } from '#events/own-type.ts'
import { eventTypes } from '#generated/events.ts'
import type { WebhookPreview, WebhookPreviewInput } from '#generated/types.ts'
import type { Call, Operation } from '#http/operation.ts'
import { type Problem, problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { obstacleTo, requireSense } from './subscription.ts'
import { requireReadable } from './transformation.ts'
import { transformer } from './transformer.ts'

/** Tries a subscription that is not saved on an event, by the code that fan-out runs. */
export const createWebhookPreview: Operation<'createWebhookPreview'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  requireSense(body, await findSelectable(tx, call.tenantId, body.eventTypes))
  await requireReadable(call.tenantId, body.transformation)
  const { type, envelope, id } = await findSubject(tx, call, body)
  const subscription = { eventTypes: body.eventTypes ?? ['*'], filter: body.filter ?? [] }
  const decidedBy = obstacleTo(subscription, type, JSON.parse(envelope))
  const isDelivered = decidedBy === null
  const sent = isDelivered ? await transformed(call, body, envelope) : { body: null, error: null }

  // Nothing is changed, but something was read.
  record(tx, call, 'webhook_endpoint.previewed', id, { after: { isDelivered } })
  return { status: 200, body: { eventType: type, isDelivered, decidedBy, ...sent } }
}

async function transformed(
  { tenantId }: Call,
  { transformation }: WebhookPreviewInput,
  event: string,
): Promise<Pick<WebhookPreview, 'body' | 'error'>> {
  if (transformation === undefined) return { body: event, error: null }
  const made = await transformer.run(tenantId, { expression: transformation, event })
  if (made.kind === 'busy') throw problem('unavailable', { detail: made.detail })
  return made.kind === 'made'
    ? { body: made.body, error: null }
    : { body: null, error: made.detail }
}

interface Subject {
  type: string
  /** The envelope as JSON. */
  envelope: string
  /** The event, or its type. */
  id: string
}

async function findSubject(
  tx: Tx,
  { tenantId }: Call,
  { eventId, eventType }: WebhookPreviewInput,
): Promise<Subject> {
  if (eventType !== undefined && eventId === undefined) {
    const example = await findExample(tx, tenantId, eventType)
    return { type: eventType, envelope: JSON.stringify(example), id: eventType }
  }
  if (eventId === undefined || eventType !== undefined) {
    const message = 'must have eventId or eventType, one of them'
    const errors = [{ pointer: '', code: 'not_one', message }]
    throw problem('invalid_request', { detail: `The body ${message}.`, errors })
  }
  const event = await findEvent(tx, tenantId, eventId)
  if (!event?.body) {
    throw unknown('/eventId', 'names no event whose payload is there')
  }
  return { type: event.type, envelope: event.body.toString('utf8'), id: eventId }
}

async function findExample(tx: Tx, tenantId: TenantId, type: string): Promise<unknown> {
  if (isEventType(type)) return eventTypes[type].example
  const own = await findOwnType(tx, tenantId, type)
  if (own === undefined) throw unknown('/eventType', 'names no type of event')
  return toOwnType(own).example
}

function unknown(pointer: string, message: string): Problem {
  return problem('reference_unknown', {
    errors: [{ pointer, code: 'reference_unknown', message }],
  })
}
