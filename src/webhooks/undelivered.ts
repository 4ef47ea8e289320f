import type { UndeliveredInfo, WebhookDeliveryInfo } from '#generated/types.ts'
import { later } from './health.ts'

/** What decides why a delivery has not been accepted. */
export interface Waiting {
  status: WebhookDeliveryInfo['status']
  nextAttemptAt: Date | null
  lastAttemptAt: Date | null
  createdAt: Date
  /** How far along the schedule of retries it is; null once nothing is to be done. */
  retryCount: number | null
  /** Attempts at its endpoint that are under way, … */
  inFlight: number
  /** … and that may be. */
  inFlightMax: number
  /** Whether its endpoint has a rate, and has spent it. */
  isRateSpent: boolean
  /** For how long it waits for others to go with it; null is not at all. */
  batchWaitSeconds: number | null
  /** Whether another one about the same resource comes first. */
  isBehind: boolean
  endpointDisabledAt: Date | null
  endpointDeletedAt: Date | null
  /** When its endpoint was resumed without it. */
  skippedAt: Date | null
  /** Of an endpoint that failed lately: since when it is as it is, and what keeps it from more. */
  endpointStateSince: Date | null
  endpointOpenUntil: Date | null
  endpointPausedUntil: Date | null
  endpointInFlightLimit: number | null
}

/** Why a delivery has not been accepted, since when, and which retry comes next; null once it was. */
export function undeliveredOf(waiting: Waiting, now: Date): UndeliveredInfo | null {
  const { status, nextAttemptAt, lastAttemptAt, createdAt } = waiting
  const told = (reason: UndeliveredInfo['reason'], since: Date | null): UndeliveredInfo => ({
    reason,
    since: since?.toISOString() ?? null,
    retryNumber: waiting.retryCount === 0 ? null : waiting.retryCount,
  })
  switch (status) {
    case 'DELIVERED':
      return null
    case 'EXHAUSTED':
      return told('EXHAUSTED', lastAttemptAt)
    case 'CANCELLED':
      return waiting.skippedAt === null
        ? told('CANCELLED', waiting.endpointDeletedAt)
        : told('SKIPPED', waiting.skippedAt)
    case 'SENDING':
      return told('SENDING', null)
    case 'HELD':
      return told('HELD', later(waiting.endpointDisabledAt, createdAt))
    case 'PENDING': {
      if (waiting.isBehind) return told('ORDER', null)
      if (nextAttemptAt !== null && nextAttemptAt > now) return told('RETRY', lastAttemptAt)
      const { endpointOpenUntil: openUntil, endpointPausedUntil: pausedUntil } = waiting
      if (openUntil !== null && openUntil > now) {
        return told('CIRCUIT_OPEN', waiting.endpointStateSince)
      }
      if (pausedUntil !== null && pausedUntil > now) return told('RETRY_AFTER', null)
      const most = Math.min(waiting.endpointInFlightLimit ?? Infinity, waiting.inFlightMax)
      if (waiting.inFlight >= most) return told('ENDPOINT_BUSY', nextAttemptAt)
      if (waiting.isRateSpent) return told('RATE_LIMITED', nextAttemptAt)
      const dueMs = nextAttemptAt?.getTime() ?? now.getTime()
      const goesMs = dueMs + (waiting.batchWaitSeconds ?? 0) * 1_000
      return told(goesMs > now.getTime() ? 'BATCH' : 'DUE', nextAttemptAt)
    }
    default:
      return status satisfies never
  }
}

/** When it is tried next: not before its endpoint is sent anything again. */
export function nextAttemptOf(
  waiting: Pick<Waiting, 'status' | 'nextAttemptAt' | 'endpointOpenUntil' | 'endpointPausedUntil'>,
): Date | null {
  const { nextAttemptAt, endpointOpenUntil, endpointPausedUntil } = waiting
  if (nextAttemptAt === null || waiting.status !== 'PENDING') return nextAttemptAt
  return later(endpointPausedUntil, later(endpointOpenUntil, nextAttemptAt))
}
