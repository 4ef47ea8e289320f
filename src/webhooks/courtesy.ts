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
/** Who took no more in a second or so sends little, if anything of late; next to nothing is forgotten. */
const littleMost = 50
const lateMs = 2_000
const nothingMost = 0.1
/** For so long what was taken counts for a third, for twice as long for a ninth. */
const memoryMs = 900
/** Begun at once, more than these would make the others wait. */
const mostAtOnce = 15

export function createCourtesy(): Courtesy {
  /** What each tenant took lately, about what it takes in a second, and when it last took any. */
  const taken = new Map<TenantId, { count: number; atMs: number }>()
  const turnMs = new Map<TenantId, number>()
  let price = 0
  let toldMs = 0

  const waits = (nowMs: number) => [...turnMs].filter(([, atMs]) => atMs > nowMs)

  function forget(nowMs: number): void {
    const left = 3 ** (-(nowMs - toldMs) / memoryMs)
    toldMs = nowMs
    for (const [tenantId, { count, atMs }] of taken) {
      if (count * left <= nothingMost) taken.delete(tenantId)
      else taken.set(tenantId, { count: count * left, atMs })
    }
    for (const [tenantId, atMs] of turnMs) if (atMs <= nowMs) turnMs.delete(tenantId)
  }

  return {
    most: () => (price > 0 ? mostAtOnce : Number.POSITIVE_INFINITY),
    waiting: (nowMs) => waits(nowMs).map(([tenantId]) => tenantId),
    nextTurnMs(nowMs) {
      const turns = waits(nowMs).map(([, atMs]) => atMs)
      return turns.length === 0 ? undefined : Math.min(...turns)
    },
    took(counts, nowMs) {
      for (const [tenantId, count] of counts) {
        const lately = (taken.get(tenantId)?.count ?? 0) + count
        taken.set(tenantId, { count: lately, atMs: nowMs })
        if (price > 0 && lately > littleMost) turnMs.set(tenantId, nowMs + count * price)
      }
    },
    wasBusy(part, nowMs) {
      forget(nowMs)
      // Of one who took much and has done, little is remembered too, but it waits for nothing.
      const isForSomebody = [...taken.values()].some(
        ({ count, atMs }) => count <= littleMost && nowMs - atMs <= lateMs,
      )
      price = isForSomebody ? nextPrice(price, part) : 0
      if (price === 0) turnMs.clear()
    },
  }
}

function nextPrice(price: number, busy: number): number {
  if (busy > busyMost) return Math.min(Math.max(price * 1.5, priceLeast), priceMost)
  return price > priceLeast ? price * 0.85 : 0
}
