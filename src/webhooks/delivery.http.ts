import { record } from '#audit/record.ts'
import { findEvent } from '#events/event.sql.ts'
import { requireType } from '#events/event.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import {
  findDelivery,
  findPayload,
  lockDelivery,
  pageAttempts,
  pageDeliveries,
  redeliver,
} from './delivery.sql.ts'
import {
  type Attempt,
  type Delivery,
  isTooOld,
  toAttempt,
  toDelivery,
  waitDaysMax,
} from './delivery.ts'
import { findEndpoint } from './endpoint.sql.ts'

export const listWebhookDeliveries: Operation<'listWebhookDeliveries'> = async (
  ctx,
  call,
  { query },
  db,
) => {
  requireType('eventType', query.eventType)
  const page = pageOf(ctx, call, 'webhook-deliveries', query)
  const deliveries = await pageDeliveries(db, call.tenantId, query, page)
  const placeOf = ({ id }: Delivery) => [id]
  const toItem = (delivery: Delivery) => toDelivery(delivery, call.now)
  return {
    status: 200,
    body: toPage(ctx, call, 'webhook-deliveries', query, deliveries, placeOf, toItem),
  }
}

export const getWebhookDelivery: Operation<'getWebhookDelivery'> = async (
  _ctx,
  call,
  { path },
  db,
) => {
  const delivery = found(await findDelivery(db, call.tenantId, path.webhookDeliveryId))
  return { status: 200, body: toDelivery(delivery, call.now) }
}

export const listDeliveryAttempts: Operation<'listDeliveryAttempts'> = async (
  ctx,
  call,
  { path, query },
  db,
) => {
  const { id, eventId } = found(await findDelivery(db, call.tenantId, path.webhookDeliveryId))
  const list = `webhook-deliveries/${id}/attempts`
  const page = pageOf(ctx, call, list, query)
  const attempts = await pageAttempts(db, call.tenantId, id, query, page)
  const placeOf = ({ number }: Attempt) => [number]
  const toItem = (attempt: Attempt) => toAttempt(attempt, eventId)
  return { status: 200, body: toPage(ctx, call, list, query, attempts, placeOf, toItem) }
}

export const getWebhookDeliveryPayload: Operation<'getWebhookDeliveryPayload'> = async (
  _ctx,
  call,
  { path: { webhookDeliveryId: deliveryId } },
  db,
) => {
  const payload = found(await findPayload(db, call.tenantId, deliveryId))
  return {
    status: 200,
    body: { deliveryId, ...payload, body: payload.body?.toString('utf8') ?? null },
  }
}

export const redeliverWebhookDelivery: Operation<'redeliverWebhookDelivery'> = async (
  _ctx,
  call,
  { path },
  tx,
) => {
  const delivery = found(await lockDelivery(tx, call.tenantId, path.webhookDeliveryId))
  if (delivery.status === 'PENDING' || delivery.status === 'SENDING') {
    throw problem('delivery_in_progress')
  }
  const endpoint = await findEndpoint(tx, call.tenantId, delivery.endpointId)
  if (endpoint === undefined) throw problem('invalid_state', { detail: 'Its endpoint is deleted.' })
  if (endpoint.status === 'DISABLED') throw problem('endpoint_disabled')
  if (isTooOld(delivery, call.now)) {
    throw problem('invalid_state', { detail: `It is older than ${waitDaysMax} days.` })
  }
  const event = await findEvent(tx, call.tenantId, delivery.eventId)
  if (!event?.body) {
    throw problem('invalid_state', { detail: 'The payload of its event was erased.' })
  }

  redeliver(tx, call.tenantId, delivery.id, call.now)
  record(tx, call, 'webhook_delivery.redelivered', delivery.id, {
    before: { status: delivery.status },
    after: { status: 'PENDING' },
  })
  return {
    status: 202,
    body: toDelivery(
      {
        ...delivery,
        status: 'PENDING',
        nextAttemptAt: call.now,
        deliveredAt: null,
        retryCount: 0,
      },
      call.now,
    ),
  }
}
