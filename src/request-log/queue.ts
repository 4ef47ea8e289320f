import type { Bodies, FinishedCall } from '#http/trail.ts'
import type { TenantId } from '#ids.ts'
import type { Entry } from './request-log.ts'

/** What a queue may hold: entries, and bytes of bodies over all entries. */
export interface QueueBounds {
  entriesMax: number
  bodyBytesMax: number
}

/** How many are given up at once when the queue is full: one by one would be slow. */
const givenUpAtOnce = 500

/** Entries that wait to be written: a bounded number, of which the oldest are given up first. */
export interface Queue {
  readonly length: number
  push(call: FinishedCall, bodies: Bodies | undefined): void
  /** A call that gets no row; the next row of its tenant says so. */
  leaveOut(tenantId: TenantId): void
  take(count: number): Entry[]
  /** Puts entries back to the front: they could not be written now. */
  putBack(entries: readonly Entry[]): void
  /** Counts entries that will never be written. */
  giveUp(entries: readonly Entry[]): void
}

export function createQueue(bounds: QueueBounds, onGivenUp: (count: number) => void): Queue {
  let entries: Entry[] = []
  let bodyBytes = 0
  const leftOut = new Map<TenantId, number>()

  function leaveOut(tenantId: TenantId, count = 1): void {
    leftOut.set(tenantId, (leftOut.get(tenantId) ?? 0) + count)
  }

  function giveUp(lost: readonly Entry[]): void {
    for (const { call, leftOutBefore } of lost) leaveOut(call.tenantId, leftOutBefore + 1)
    onGivenUp(lost.length)
  }

  function take(count: number): Entry[] {
    const taken = entries.splice(0, count)
    for (const { bodies } of taken) bodyBytes -= sizeOf(bodies)
    return taken
  }

  function push(call: FinishedCall, bodies: Bodies | undefined): void {
    if (entries.length >= bounds.entriesMax) giveUp(take(givenUpAtOnce))
    const { tenantId } = call
    const leftOutBefore = leftOut.size === 0 ? 0 : (leftOut.get(tenantId) ?? 0)
    if (leftOutBefore > 0) leftOut.delete(tenantId)
    const size = sizeOf(bodies)
    const hasRoom = bodyBytes + size <= bounds.bodyBytesMax
    if (hasRoom) bodyBytes += size
    entries.push({ call, bodies: hasRoom ? bodies : undefined, leftOutBefore })
  }

  function putBack(taken: readonly Entry[]): void {
    for (const { bodies } of taken) bodyBytes += sizeOf(bodies)
    entries = [...taken, ...entries]
    const excess = entries.length - bounds.entriesMax
    if (excess > 0) giveUp(take(excess))
  }

  return {
    get length() {
      return entries.length
    },
    push,
    leaveOut,
    take,
    putBack,
    giveUp,
  }
}

function sizeOf(bodies: Bodies | undefined): number {
  return (bodies?.request?.length ?? 0) + (bodies?.response?.length ?? 0)
}
