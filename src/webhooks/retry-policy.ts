import type { WebhookRetryPolicy } from '#generated/types.ts'
import { problem } from '#http/problem.ts'
import { waitDaysMax } from './delivery.ts'

const [second, minute, hour] = [1, 60, 3_600]

/**
 * After which delays, in seconds, a delivery that failed is tried again, unless the endpoint or its
 * tenant wants others.
 */
export const usualDelaysSeconds: readonly number[] = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
]

/** Each delay is this much longer or shorter, so that receivers do not all come back at once. */
export const jitter = 0.2

/** All delays together: at their longest they end before what waits is cancelled. */
export const delaysSumSecondsMax = Math.floor((waitDaysMax * 24 * hour) / (1 + jitter))

/** What the contract's types cannot say of a schedule (`invalid_request`). */
export function requireEnd(policy: WebhookRetryPolicy | null | undefined): void {
  const sum = (policy?.delaysSeconds ?? []).reduce((total, delay) => total + delay, 0)
  if (sum <= delaysSumSecondsMax) return
  const pointer = '/retryPolicy/delaysSeconds'
  const message = `must be ${delaysSumSecondsMax} seconds at most in all, and are ${sum}`
  throw problem('invalid_request', {
    detail: `${pointer} ${message}.`,
    errors: [{ pointer, code: 'too_long', message }],
  })
}

export function toRetryPolicy(delaysSeconds: readonly number[] | null): WebhookRetryPolicy | null {
  return delaysSeconds && { delaysSeconds: [...delaysSeconds] }
}
