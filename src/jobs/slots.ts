import type { TenantId } from '#ids.ts'

/**
 * What a process runs at once are its *slots*. A tenant always holds fewer than are free, so however
 * many have jobs that take long, the next one finds a slot. Who finds none waits a moment, tenants
 * taking turns, and is then told to go.
 */
export interface Slots {
  /** Resolves to the way to give the slot back; undefined when none came in time. */
  take(tenantId: TenantId): Promise<(() => void) | undefined>
}

interface Waiting {
  tenantId: TenantId
  timer: NodeJS.Timeout
  resolve: (free: (() => void) | undefined) => void
}

export function createSlots(count: number, patienceMs: number): Slots {
  const held = new Map<TenantId, number>()
  const waiting = new Set<Waiting>()
  let taken = 0

  function admits(tenantId: TenantId): boolean {
    return (held.get(tenantId) ?? 0) < count - taken
  }

  function occupy(tenantId: TenantId): () => void {
    taken += 1
    held.set(tenantId, (held.get(tenantId) ?? 0) + 1)
    return () => {
      taken -= 1
      const left = (held.get(tenantId) ?? 1) - 1
      if (left === 0) held.delete(tenantId)
      else held.set(tenantId, left)
      admitNext()
    }
  }

  /** Of those who wait, whoever holds least; among equals, who waits longest. */
  function admitNext(): void {
    let next: Waiting | undefined
    for (const each of waiting) {
      if (!admits(each.tenantId)) continue
      if (next && (held.get(each.tenantId) ?? 0) >= (held.get(next.tenantId) ?? 0)) continue
      next = each
    }
    if (next === undefined) return
    leave(next)
    next.resolve(occupy(next.tenantId))
  }

  function leave(one: Waiting): void {
    waiting.delete(one)
    clearTimeout(one.timer)
  }

  return {
    take(tenantId) {
      if (admits(tenantId)) return Promise.resolve(occupy(tenantId))
      return new Promise((resolve) => {
        const one: Waiting = {
          tenantId,
          resolve,
          timer: setTimeout(() => {
            leave(one)
            resolve(undefined)
          }, patienceMs),
        }
        waiting.add(one)
      })
    },
  }
}
