import type { WebhookRateLimit } from '#generated/types.ts'

/** At most `count` requests within any `seconds`. */
export interface Rate {
  count: number
  seconds: number
}

const [second, minute] = [1, 60]

/** The contract lets exactly one of the two through. */
export function rateOf(limit: WebhookRateLimit | null): Rate | null {
  if (limit?.perSecond !== undefined) return { count: limit.perSecond, seconds: second }
  if (limit?.perMinute !== undefined) return { count: limit.perMinute, seconds: minute }
  return null
}

export function toRateLimit(rate: Rate | null): WebhookRateLimit | null {
  if (rate === null) return null
  return rate.seconds === minute ? { perMinute: rate.count } : { perSecond: rate.count }
}
