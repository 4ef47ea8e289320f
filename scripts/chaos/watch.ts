import type { Deed } from './deed.ts'
import type { Injection } from './plan.ts'

/** How an injection was got over; times in ms from the injection, undefined for never. */
export interface Recovery {
  readonly injection: Injection
  readonly startMs: number
  firstWriteMs: number | undefined
  firstDeliveryMs: number | undefined
  /** Until all that had been acknowledged before it had been told. */
  caughtUpMs: number | undefined
  /** Until the trouble was over: the process was up again, the connections were good again. */
  overMs: number | undefined
  /** The longest time without an acknowledged write, and without a delivery, until then. */
  writesPausedMs: number
  deliveriesPausedMs: number
  readonly untold: Set<string>
}

/** Watches the crew while things go wrong. */
export interface Watch {
  readonly recoveries: readonly Recovery[]
  injected(injection: Injection): Recovery
  acknowledged(deed: Deed): void
  told(key: string): void
  /** A receiver misbehaved: how long that takes is not the installation's affair. */
  excused(key: string): void
}

export function startWatch(): Watch {
  const recoveries: Recovery[] = []
  const untold = new Set<string>()
  const toldEarly = new Set<string>()
  const excused = new Set<string>()
  const last = { write: performance.now(), delivery: performance.now() }

  const isOpen = (each: Recovery) => each.caughtUpMs === undefined || each.overMs === undefined

  function leave(key: string): void {
    untold.delete(key)
    for (const recovery of recoveries) {
      if (recovery.untold.delete(key)) closeIfCaughtUp(recovery)
    }
  }

  function closeIfCaughtUp(recovery: Recovery): void {
    if (recovery.untold.size > 0) return
    recovery.caughtUpMs ??= performance.now() - recovery.startMs
  }

  return {
    recoveries,
    injected(injection) {
      const recovery: Recovery = {
        ...{ injection, startMs: performance.now(), untold: new Set(untold) },
        ...{ firstWriteMs: undefined, firstDeliveryMs: undefined },
        ...{ caughtUpMs: undefined, overMs: undefined },
        ...{ writesPausedMs: 0, deliveriesPausedMs: 0 },
      }
      recoveries.push(recovery)
      closeIfCaughtUp(recovery)
      return recovery
    },
    acknowledged({ key }) {
      const nowMs = performance.now()
      for (const each of recoveries.filter(isOpen)) {
        each.firstWriteMs ??= nowMs - each.startMs
        const pausedMs = nowMs - Math.max(last.write, each.startMs)
        each.writesPausedMs = Math.max(each.writesPausedMs, pausedMs)
      }
      last.write = nowMs
      // Receivers may hear of it before its caller does.
      if (!toldEarly.delete(key) && !excused.has(key)) untold.add(key)
    },
    told(key) {
      const nowMs = performance.now()
      for (const each of recoveries.filter(isOpen)) {
        each.firstDeliveryMs ??= nowMs - each.startMs
        const pausedMs = nowMs - Math.max(last.delivery, each.startMs)
        each.deliveriesPausedMs = Math.max(each.deliveriesPausedMs, pausedMs)
      }
      last.delivery = nowMs
      if (!untold.has(key)) toldEarly.add(key)
      leave(key)
    },
    excused(key) {
      excused.add(key)
      leave(key)
    },
  }
}
