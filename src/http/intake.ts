/**
 * What is being *taken in* from others, who need no key for it: how many requests, and the bytes of
 * their bodies that have come. Both are bounded, and so is the share of one tenant, so that whoever
 * floods the address of one keeps that one waiting, and not all.
 */
export interface Intake {
  /** Takes a place among the requests under way; undefined when all are taken. */
  enter(tenantId: string): Place | undefined
}

export interface Place {
  /** Counts bytes that have come, until it is left; false when they are too many, and not counted. */
  hold(bytes: number): boolean
  /** Gives back the place and what it held; more than once does no harm. */
  leave(): void
}

export interface IntakeLimits {
  requestsMax: number
  bytesMax: number
}

interface Held {
  requests: number
  bytes: number
}

/** A tenant may have half of all. */
const tenantShare = 0.5

export function createIntake({ requestsMax, bytesMax }: IntakeLimits): Intake {
  const all: Held = { requests: 0, bytes: 0 }
  const tenants = new Map<string, Held>()

  const isFull = ({ requests }: Held, share: number) => requests + 1 > requestsMax * share
  const isTooMuch = (held: Held, bytes: number, share: number) =>
    held.bytes + bytes > bytesMax * share

  return {
    enter(tenantId) {
      const own = tenants.get(tenantId) ?? { requests: 0, bytes: 0 }
      if (isFull(all, 1) || isFull(own, tenantShare)) return undefined
      tenants.set(tenantId, own)
      for (const held of [all, own]) held.requests += 1
      let bytes = 0
      let isInside = true
      return {
        hold(more) {
          if (!isInside) return true
          if (isTooMuch(all, more, 1) || isTooMuch(own, more, tenantShare)) return false
          bytes += more
          for (const held of [all, own]) held.bytes += more
          return true
        },
        leave() {
          if (!isInside) return
          isInside = false
          for (const held of [all, own]) {
            held.requests -= 1
            held.bytes -= bytes
          }
          if (own.requests === 0) tenants.delete(tenantId)
        },
      }
    },
  }
}
