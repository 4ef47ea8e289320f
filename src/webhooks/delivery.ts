import type { WebhookAttemptInfo, WebhookDeliveryInfo } from '#generated/types.ts'
import { nextAttemptOf, undeliveredOf, type Waiting } from './undelivered.ts'

/** A delivery as it is read: its row, and what `delivery_due` says of the work still to be done. */
export interface Delivery extends Waiting {
  id: string
  endpointId: string
  eventId: string
  eventType: WebhookDeliveryInfo['eventType']
  webhookId: string
  attemptCount: number
  deliveredAt: Date | null
  lastResponseStatus: number | null
}

export interface Attempt {
  id: string
  deliveryId: string
  number: number
  startedAt: Date
  durationMs: number
  outcome: WebhookAttemptInfo['outcome']
  responseStatus: number | null
  responseBody: Buffer | null
  error: string | null
  address: string | null
  /** What was sent as `webhook-id`; null where it is the event's. */
  webhookId: string | null
}

/** Where nothing is known of an endpoint, or is not asked, and nothing was left out or is in the way. */
export const wellEndpoint = {
  skippedAt: null,
  inFlight: 0,
  inFlightMax: 1,
  isRateSpent: false,
  isBehind: false,
  batchWaitSeconds: null,
  endpointDisabledAt: null,
  endpointDeletedAt: null,
  endpointStateSince: null,
  endpointOpenUntil: null,
  endpointPausedUntil: null,
  endpointInFlightLimit: null,
} as const

/**
 * For how many days a delivery may wait, most of all for an endpoint that is disabled. What has not
 * been delivered by then is cancelled, and can be seen to be for as long as deliveries are kept: no
 * endpoint that was forgotten keeps the days of everybody.
 */
export const waitDaysMax = 28

/** Whether a delivery is too old to be made once more: what would wait is cancelled. */
export function isTooOld({ createdAt }: Pick<Delivery, 'createdAt'>, now: Date): boolean {
  return now.getTime() - createdAt.getTime() >= waitDaysMax * 24 * 60 * 60 * 1_000
}

export function toDelivery(delivery: Delivery, now: Date): WebhookDeliveryInfo {
  const {
    id,
    endpointId,
    eventId,
    eventType,
    webhookId,
    status,
    attemptCount,
    lastResponseStatus,
  } = delivery
  return {
    ...{ id, endpointId, eventId, eventType, webhookId, status, attemptCount, lastResponseStatus },
    undelivered: undeliveredOf(delivery, now),
    nextAttemptAt: nextAttemptOf(delivery)?.toISOString() ?? null,
    lastAttemptAt: delivery.lastAttemptAt?.toISOString() ?? null,
    deliveredAt: delivery.deliveredAt?.toISOString() ?? null,
    createdAt: delivery.createdAt.toISOString(),
  }
}

export function toAttempt(attempt: Attempt, eventId: string): WebhookAttemptInfo {
  return {
    ...attempt,
    webhookId: attempt.webhookId ?? eventId,
    startedAt: attempt.startedAt.toISOString(),
    // A receiver may answer any bytes; what is not UTF-8 shows as replacement characters.
    responseBody: attempt.responseBody?.toString('utf8') ?? null,
  }
}
