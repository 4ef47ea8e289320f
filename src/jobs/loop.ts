import type { Log } from '#log.ts'

/** Work that is looked for again and again: at once when woken, and now and then by itself. */
export interface Loop {
  /** There is something to do. Cheap, and harmless when there is not. */
  wake(): void
  /** There will be more to do in a moment, which one pass may do together. */
  wakeSoon(): void
  /** Lets the pass under way end, and starts no other. */
  stop(): Promise<void>
}

export interface LoopOptions {
  name: string
  /** Does one pass; answers whether there is more to do right away. */
  pass: () => Promise<boolean>
  /** The net under the wake-ups. */
  idleMs: number
  /** The longest rest after errors; 5 s unless told. */
  restMsMax?: number
  /** How long `wakeSoon` waits for others. */
  soonMs?: number
  /** How long after a pass began one that was woken for begins at the earliest: many wake-ups are one. */
  apartMs?: number
  log: Log
}

/** After an error a loop rests, longer each time, so that a broken database is not hammered. */
const firstRestMs = 100

export function runLoop(options: LoopOptions): Loop {
  const { name, pass, idleMs, restMsMax = 5_000, soonMs = 0, apartMs = 0, log } = options
  let isStopped = false
  let isWoken = false
  let isRecovering = false
  let failures = 0
  let resume: () => void = () => undefined
  let soon: NodeJS.Timeout | undefined

  function rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      resume = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async function turn(): Promise<void> {
    isWoken = false
    const startMs = performance.now()
    try {
      const hasMore = await pass()
      failures = 0
      if (hasMore || isStopped) return
      if (!isWoken) await rest(idleMs)
      await keepApart(startMs)
    } catch (error) {
      log.error({ err: error, loop: name }, 'a pass failed')
      if (!isStopped) await recover()
    }
  }

  /** A rest that no wake-up cuts short: whoever wakes us does not know that we are failing. */
  async function recover(): Promise<void> {
    isRecovering = true
    await rest(Math.min(firstRestMs * 2 ** failures, restMsMax))
    isRecovering = false
    failures += 1
  }

  async function keepApart(startMs: number): Promise<void> {
    for (;;) {
      const leftMs = startMs + apartMs - performance.now()
      if (leftMs <= 0 || isStopped) return
      await rest(leftMs)
    }
  }

  async function run(): Promise<void> {
    while (!isStopped) await turn()
  }

  function wake(): void {
    isWoken = true
    if (!isRecovering) resume()
  }

  const ended = run()
  return {
    wake,
    wakeSoon() {
      soon ??= setTimeout(() => {
        soon = undefined
        wake()
      }, soonMs)
    },
    stop() {
      isStopped = true
      clearTimeout(soon)
      resume()
      return ended
    },
  }
}
