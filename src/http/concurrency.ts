/** Counts the calls that this process works on for each tenant. */
export interface Concurrency {
  /** Takes a place and answers how to leave it; undefined when all `most` places are taken. */
  enter(tenantId: string, most: number): (() => void) | undefined
  /** The calls of all tenants. */
  total(): number
}

export function createConcurrency(): Concurrency {
  const inside = new Map<string, number>()
  let total = 0

  function leave(tenantId: string): void {
    total -= 1
    const rest = (inside.get(tenantId) ?? 1) - 1
    if (rest > 0) inside.set(tenantId, rest)
    else inside.delete(tenantId)
  }

  return {
    enter(tenantId, most) {
      const count = inside.get(tenantId) ?? 0
      if (count >= most) return undefined
      inside.set(tenantId, count + 1)
      total += 1
      let isInside = true
      return () => {
        if (isInside) leave(tenantId)
        isInside = false
      }
    },
    total: () => total,
  }
}
