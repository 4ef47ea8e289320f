import type { TenantId } from '#ids.ts'

/*
 * A tenant with much to send is *courteous* to those who send little: what it took it pays for with
 * time, in which there are claims for the others only. The price of a delivery rises while the process
 * is busy and falls while it is not; where nobody sends little, nobody pays. So a backlog takes what is
 * left over, and who sends now and then finds a process that has time.
 */
export interface Courtesy {
  /** What one tenant may have in one claim. */
  most(): number
  /** Those whose turn has not come. */
  waiting(nowMs: number): TenantId[]
  /** When the next of them has its turn; undefined while nobody waits. */
  nextTurnMs(nowMs: number): number | undefined
  /** So many deliveries of each tenant were claimed. */
  took(counts: ReadonlyMap<TenantId, number>, nowMs: number): void
  /** Which part of the time since it was told last the process was busy. */
  wasBusy(part: number, nowMs: number): void
}

/** A process that is busy for less has time for whoever comes. */
const busyMost = 0.25
/** What a delivery costs, in ms: at least, so that a price is felt, and at most. */
const priceLeast = 0.1
const priceMost = 2
/** Who took no more in a claim sends little, … */
const littleMost = 4
/** … and who took nothing for so long sends nothing. */
const goneMs = 2_000
/** Begun at once, more than these would make the others wait. */
const mostAtOnce = 15

export function createCourtesy(): Courtesy {
  /** When each of those who send little took something last. */
  const littleMs = new Map<TenantId, number>()
  const turnMs = new Map<TenantId, number>()
  let price = 0

  const waits = (nowMs: number) => [...turnMs].filter(([, atMs]) => atMs > nowMs)

  return {
    most: () => (price > 0 ? mostAtOnce : Number.POSITIVE_INFINITY),
    waiting: (nowMs) => waits(nowMs).map(([tenantId]) => tenantId),
    nextTurnMs(nowMs) {
      const turns = waits(nowMs).map(([, atMs]) => atMs)
      return turns.length === 0 ? undefined : Math.min(...turns)
    },
    took(counts, nowMs) {
      for (const [tenantId, count] of counts) {
        if (count <= littleMost) littleMs.set(tenantId, nowMs)
        else littleMs.delete(tenantId)
        // The first is free: who sends one never waits for having sent it.
        if (price > 0 && count > 1) turnMs.set(tenantId, nowMs + (count - 1) * price)
      }
    },
    wasBusy(part, nowMs) {
      for (const [tenantId, atMs] of littleMs) if (atMs < nowMs - goneMs) littleMs.delete(tenantId)
      for (const [tenantId, atMs] of turnMs) if (atMs <= nowMs) turnMs.delete(tenantId)
      price = littleMs.size === 0 ? 0 : nextPrice(price, part)
      if (price === 0) turnMs.clear()
    },
  }
}

function nextPrice(price: number, busy: number): number {
  if (busy > busyMost) return Math.min(Math.max(price * 1.5, priceLeast), priceMost)
  return price > priceLeast ? price * 0.85 : 0
}
