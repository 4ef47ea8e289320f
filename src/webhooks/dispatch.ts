import type { Outcome } from '#egress/outcome.ts'
import type { WebhookAttemptInfo } from '#generated/types.ts'
import { jitter } from './retry-policy.ts'

/** Nothing was sent, since the endpoint's transformation made nothing of the event. */
export interface Untransformed {
  kind: 'untransformed'
  /** Why, for the customer. */
  detail: string
  durationMs: number
}

/** What came of an attempt. */
export type Attempted = Outcome | Untransformed

/** How an attempt is named in the contract. */
export type AttemptOutcome = WebhookAttemptInfo['outcome']

const second = 1_000

/** How long a claim holds: longer than any attempt, with room for its record. */
export const leaseMs = 60 * second

/** The most that a receiver's `Retry-After` can put off the next try. */
const retryAfterMsMax = 24 * 60 * 60 * second

/** What happens to a delivery after an attempt. */
export type Next =
  | { kind: 'done' }
  | { kind: 'exhausted' }
  /** The endpoint said that it is gone: no more tries, and it is disabled. */
  | { kind: 'gone' }
  | { kind: 'retry'; at: Date }

/** Names an outcome. A receiver's 500 is an outcome, not an error. */
export function nameOutcome(outcome: Attempted): AttemptOutcome {
  if (outcome.kind === 'untransformed') return 'TRANSFORMATION_FAILED'
  if (outcome.kind === 'failed') return failures[outcome.reason]
  const { status } = outcome
  if (status >= 200 && status < 300) return 'DELIVERED'
  if (status >= 300 && status < 400) return 'REDIRECTED'
  if (status === 410) return 'GONE'
  return status === 429 ? 'THROTTLED' : 'REFUSED'
}

/** What went wrong, for the customer, in a sentence; null when nothing did. */
export function errorOf(outcome: Attempted): string | null {
  if (outcome.kind !== 'answered') return outcome.detail
  const answered = `The endpoint answered ${outcome.status}`
  switch (nameOutcome(outcome)) {
    case 'DELIVERED':
      return null
    case 'REDIRECTED':
      return `${answered}, and redirects are not followed.`
    case 'GONE':
      return `${answered}: it is gone, and hears no more.`
    case 'THROTTLED':
      return `${answered}: it has too much to do.`
    default:
      return `${answered}.`
  }
}

const failures: Record<Extract<Outcome, { kind: 'failed' }>['reason'], AttemptOutcome> = {
  timed_out: 'TIMED_OUT',
  name_unresolved: 'NAME_UNRESOLVED',
  connection_failed: 'CONNECTION_FAILED',
  tls_failed: 'TLS_FAILED',
  address_forbidden: 'ADDRESS_FORBIDDEN',
  host_not_allowed: 'HOST_NOT_ALLOWED',
  protocol_error: 'PROTOCOL_ERROR',
  aborted: 'INTERRUPTED',
}

/** How far a delivery has come along its schedule of retries. */
export interface Progress {
  delaysSeconds: readonly number[]
  /** How many retries the schedule has already given. */
  retryCount: number
}

/** Decides what follows an attempt; `random` is in [0, 1). */
export function nextStep(
  outcome: Attempted,
  { delaysSeconds, retryCount }: Progress,
  now: Date,
  random: number,
): Next {
  const name = nameOutcome(outcome)
  if (name === 'DELIVERED') return { kind: 'done' }
  if (name === 'GONE') return { kind: 'gone' }
  const delaySeconds = delaysSeconds[retryCount]
  if (delaySeconds === undefined) return { kind: 'exhausted' }
  const jitteredMs = delaySeconds * second * (1 - jitter + 2 * jitter * random)
  const askedMs =
    outcome.kind === 'answered' ? retryAfterMs(outcome.headers['retry-after'], now) : 0
  const waitMs = Math.max(jitteredMs, Math.min(askedMs, retryAfterMsMax))
  return { kind: 'retry', at: new Date(now.getTime() + waitMs) }
}

/** `Retry-After` in ms from now: seconds or an HTTP date (RFC 9110 §10.2.3); 0 when unreadable. */
export function retryAfterMs(header: string | undefined, now: Date): number {
  if (header === undefined) return 0
  if (/^\d+$/.test(header)) return Number(header) * second
  const at = Date.parse(header)
  return Number.isNaN(at) ? 0 : Math.max(0, at - now.getTime())
}
