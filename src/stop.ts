/** What the signals ask for, from the first moment on: also while the program still starts. */
export interface Stopping {
  /** Somebody wants the process to end in order. */
  readonly asked: Promise<void>
  /** Somebody does not want to wait for what is under way. */
  readonly hurried: Promise<void>
}

/** A terminal's Ctrl-C arrives twice, from the terminal and from npm, a millisecond apart. */
const sameSignalMs = 500

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Listens for signals. The first asks, the second hurries, a third ends the process at once; the next
 * start then finds everything where it was.
 */
export function listenForStop(say: (line: string) => void): Stopping {
  // Behind a closed terminal, writing fails; that must not keep us from ending in order.
  process.stdout.on('error', () => undefined)
  const asked = Promise.withResolvers<void>()
  const hurried = Promise.withResolvers<void>()
  let count = 0
  let lastMs = Number.NEGATIVE_INFINITY
  const onSignal = () => {
    const nowMs = performance.now()
    if (nowMs - lastMs < sameSignalMs) return
    lastMs = nowMs
    count += 1
    if (count === 1) {
      say('Stopping: what is under way may end. Again to stop at once.')
      asked.resolve()
    } else if (count === 2) hurried.resolve()
    else process.exit(130)
  }
  for (const signal of signals) process.on(signal, onSignal)
  return { asked: asked.promise, hurried: hurried.promise }
}
