import type { TenantId } from '#ids.ts'
import type { AttemptOutcome } from './dispatch.ts'

/**
 * *Patience* with endpoints that do not answer. One that let several attempts in a row run into
 * their deadline is tried one delivery at a time until it answers anything at all, so that it holds
 * one slot instead of ten. The schedule of retries stays as it is. Each worker learns this by
 * itself, and a new one begins patiently.
 */
const timeoutsMax = 5
const slowInFlightMax = 1

/** So many slow endpoints are told apart; beyond that the others are treated like everybody. */
const slowMax = 1_000

/** An endpoint, and how many of its deliveries may be under way. */
export interface SlowEndpoint {
  tenantId: TenantId
  endpointId: string
  inFlightMax: number
}

export interface Patience {
  note(endpoint: { tenantId: TenantId; endpointId: string }, outcome: AttemptOutcome): void
  slow(): readonly SlowEndpoint[]
}

export function createPatience(): Patience {
  const streaks = new Map<string, number>()
  const slow = new Map<string, SlowEndpoint>()

  return {
    note({ tenantId, endpointId }, outcome) {
      // It was not asked.
      if (outcome === 'TRANSFORMATION_FAILED') return
      if (outcome !== 'TIMED_OUT') {
        streaks.delete(endpointId)
        slow.delete(endpointId)
        return
      }
      const streak = (streaks.get(endpointId) ?? 0) + 1
      if (streaks.size < slowMax || streak > 1) streaks.set(endpointId, streak)
      if (streak < timeoutsMax || slow.size >= slowMax) return
      slow.set(endpointId, { tenantId, endpointId, inFlightMax: slowInFlightMax })
    },
    slow: () => [...slow.values()],
  }
}
