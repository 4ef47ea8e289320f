/** A rate with a burst, both in requests; `perSecond` refills it. */
export interface RateLimit {
  perSecond: number
  burst: number
}

/** The plain limit of a key in one process. */
export const keyLimit: RateLimit = { perSecond: 100, burst: 1_000 }

export type Verdict =
  | { isAllowed: true; nextMs: number }
  | { isAllowed: false; retryAfterMs: number }

/**
 * The generic cell rate algorithm: `arrivalMs` is the theoretical arrival time of the next request,
 * all the state that a caller has. Returns the new one, or how long to wait.
 */
export function judgeRate(arrivalMs: number | undefined, nowMs: number, limit: RateLimit): Verdict {
  const intervalMs = 1_000 / limit.perSecond
  const toleranceMs = intervalMs * (limit.burst - 1)
  const dueMs = Math.max(arrivalMs ?? nowMs, nowMs)
  const earlyMs = dueMs - nowMs
  if (earlyMs > toleranceMs) return { isAllowed: false, retryAfterMs: earlyMs - toleranceMs }
  return { isAllowed: true, nextMs: dueMs + intervalMs }
}

/** Callers remembered at once; one that has been quiet for a full burst needs no memory. */
const callersMax = 100_000

/** Applies one limit to many callers, by a name such as a key's id. */
export function createLimiter(limit: RateLimit) {
  const arrivals = new Map<string, number>()

  /** Counts a request; answers 0, or in how many ms to come back. */
  function take(caller: string, nowMs: number): number {
    const verdict = judgeRate(arrivals.get(caller), nowMs, limit)
    if (!verdict.isAllowed) return verdict.retryAfterMs
    // Deleted first, so that the map stays in order of last use and its head is the quietest.
    arrivals.delete(caller)
    arrivals.set(caller, verdict.nextMs)
    if (arrivals.size > callersMax) arrivals.delete(arrivals.keys().next().value ?? caller)
    return 0
  }

  return { take }
}
