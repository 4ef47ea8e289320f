import type { WebhookEndpointBalance } from '#generated/types.ts'

/**
 * The *balance* of an endpoint: what was matched with it, counted where that was decided, is what
 * became of it, counted from the deliveries. What is missing was lost, or made twice when negative.
 */
export interface Balance {
  matched: number
  pending: number
  sending: number
  delivered: number
  held: number
  exhausted: number
  cancelled: number
  missing: number
}

/** Days that are looked at: deliveries are kept for a little longer. */
const balancedDays = 29

const dayMs = 24 * 60 * 60 * 1_000

/** The first day, in UTC, that is looked at. */
export function firstDayOf(now: Date): string {
  return new Date(now.getTime() - (balancedDays - 1) * dayMs).toISOString().slice(0, 10)
}

export function toBalance(
  endpointId: string,
  since: string,
  { missing, ...counts }: Balance,
): WebhookEndpointBalance {
  return { endpointId, since, ...counts, isBalanced: missing === 0 }
}
