/** How a process ends: what is let go first, and what is closed behind it. */
export interface Ending {
  say: (line: string) => void
  /** Stops taking on work and ends what is under way. */
  drain: () => Promise<unknown>
  /** Closes connections, and the database when we are its last user. */
  close: () => Promise<void>
}

/** A terminal's Ctrl-C arrives twice, from the terminal and from npm, a millisecond apart. */
const sameSignalMs = 500

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Waits for a signal and ends the process in order. A second signal skips the drain, a third ends it
 * at once; the next start then finds everything where it was.
 */
export function untilStopped({ say, drain, close }: Ending): Promise<void> {
  // Behind a closed terminal, writing fails; that must not keep us from ending in order.
  process.stdout.on('error', () => undefined)
  return new Promise((resolve, reject) => {
    let count = 0
    let lastMs = Number.NEGATIVE_INFINITY
    let skip: () => void = () => undefined
    const skipped = new Promise<void>((done) => {
      skip = done
    })
    const onSignal = () => {
      const nowMs = performance.now()
      if (nowMs - lastMs < sameSignalMs) return
      lastMs = nowMs
      count += 1
      if (count === 1) {
        say('Stopping: what is under way may end. Again to stop at once.')
        Promise.race([drain(), skipped]).then(close).then(resolve, reject)
      } else if (count === 2) skip()
      else process.exit(130)
    }
    for (const signal of signals) process.on(signal, onSignal)
  }).then(() => process.exit(0))
}
