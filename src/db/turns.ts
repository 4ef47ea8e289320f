import { problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'

/*
 * Writes take *turns* at the connections of a process: while there are fewer connections than writes,
 * tenant after tenant, so that one that sends many waits behind itself and not before everybody else.
 * No tenant holds all connections, since its writes may wait for each other in the database.
 */
export interface Turns {
  /** Waits for a connection's worth of room; answers how to leave it. Throws `overloaded`. */
  take(tenantId: TenantId): Promise<() => void>
  /** How many wait. */
  waiting(): number
}

export interface TurnLimits {
  places: number
  /** Of one tenant at the same time. */
  perTenant: number
  /** Of one tenant in the queue; more are refused at once. */
  waitingPerTenant: number
  patienceMs: number
}

interface Waiting {
  start(): void
}

export function createTurns({
  places,
  perTenant,
  waitingPerTenant,
  patienceMs,
}: TurnLimits): Turns {
  const held = new Map<TenantId, number>()
  /** In the order in which tenants have their turns. */
  const queues = new Map<TenantId, Waiting[]>()
  let taken = 0
  let waitingCount = 0

  const hasRoom = (tenantId: TenantId) => taken < places && (held.get(tenantId) ?? 0) < perTenant

  function enter(tenantId: TenantId): () => void {
    taken += 1
    held.set(tenantId, (held.get(tenantId) ?? 0) + 1)
    let isInside = true
    return () => {
      if (!isInside) return
      isInside = false
      taken -= 1
      const rest = (held.get(tenantId) ?? 1) - 1
      if (rest > 0) held.set(tenantId, rest)
      else held.delete(tenantId)
      admitNext()
    }
  }

  /** The first tenant in line that may; it goes to the end of the line. */
  function admitNext(): void {
    for (const [tenantId, queue] of queues) {
      if (!hasRoom(tenantId)) continue
      const next = queue.shift()
      queues.delete(tenantId)
      if (queue.length > 0) queues.set(tenantId, queue)
      next?.start()
      return
    }
  }

  function wait(tenantId: TenantId): Promise<() => void> {
    const queue = queues.get(tenantId) ?? []
    if (queue.length >= waitingPerTenant) throw tooMany()
    queues.set(tenantId, queue)
    waitingCount += 1
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        start() {
          clearTimeout(timer)
          waitingCount -= 1
          resolve(enter(tenantId))
        },
      }
      const timer = setTimeout(() => {
        queue.splice(queue.indexOf(waiting), 1)
        if (queue.length === 0) queues.delete(tenantId)
        waitingCount -= 1
        reject(tooMany())
      }, patienceMs)
      queue.push(waiting)
    })
  }

  return {
    waiting: () => waitingCount,
    async take(tenantId) {
      return hasRoom(tenantId) ? enter(tenantId) : await wait(tenantId)
    },
  }
}

function tooMany() {
  return problem('overloaded', {
    detail: 'Too many writes are waiting. Try again shortly.',
    headers: { 'retry-after': '1' },
  })
}
