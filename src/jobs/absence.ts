/** Between losing a connection and the next, a process that lives is absent for a moment. */
const patienceMs = 2_000

/**
 * After a database was away all processes are absent until they have connected again, each when it
 * has noticed. We were cut off as they were, so our own last failure says how long ago that was.
 */
const patienceAfterOutageMs = 10_000

/** Watches whom `look` finds absent; each call looks, and answers who has been away for too long. */
export function watchAbsent(look: () => Promise<string[]>): () => Promise<string[]> {
  const sinceMs = new Map<string, number>()
  let outageMs = Number.NEGATIVE_INFINITY

  return async () => {
    const absent = await look().catch((error) => {
      outageMs = performance.now()
      throw error
    })
    const nowMs = performance.now()
    for (const id of sinceMs.keys()) if (!absent.includes(id)) sinceMs.delete(id)
    for (const id of absent) if (!sinceMs.has(id)) sinceMs.set(id, nowMs)
    if (nowMs - outageMs < patienceAfterOutageMs) return []
    return absent.filter((id) => nowMs - (sinceMs.get(id) ?? nowMs) >= patienceMs)
  }
}
