/** Counts the calls that this process works on for each tenant. */
export interface Concurrency {
  /** Takes a place and answers how to leave it; undefined when all `most` places are taken. */
  enter(tenantId: string, most: number): (() => void) | undefined
}

export function createConcurrency(): Concurrency {
  const inside = new Map<string, number>()

  function leave(tenantId: string): void {
    const rest = (inside.get(tenantId) ?? 1) - 1
    if (rest > 0) inside.set(tenantId, rest)
    else inside.delete(tenantId)
  }

  return {
    enter(tenantId, most) {
      const count = inside.get(tenantId) ?? 0
      if (count >= most) return undefined
      inside.set(tenantId, count + 1)
      return () => leave(tenantId)
    },
  }
}
