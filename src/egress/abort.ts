/*
 * A signal looks through its listeners one by one whenever one comes or goes, and a dispatcher has
 * hundreds of requests under way at one signal. So it has one listener of ours, which knows the others.
 */

const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/** Has `listener` called when the signal aborts. */
export function addAbortListener(signal: AbortSignal, listener: () => void): void {
  const known = listeners.get(signal)
  if (known !== undefined) {
    known.add(listener)
    return
  }
  const all = new Set([listener])
  listeners.set(signal, all)
  signal.addEventListener('abort', () => {
    for (const one of all) one()
  })
}

export function removeAbortListener(signal: AbortSignal, listener: () => void): void {
  listeners.get(signal)?.delete(listener)
}
