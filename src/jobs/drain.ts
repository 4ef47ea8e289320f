import type { Log } from '#log.ts'

/** Waits for the last of some work, but not longer than is given; that it failed is logged. */
export async function drainWithin(ms: number, work: Promise<void>, log: Log): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  const done = work.catch((error) => log.error({ err: error }, 'the last of it was not written'))
  await Promise.race([done, over])
  clearTimeout(timer)
}

/** Waits until `isSettled`, or as long as it may take. */
export async function settled(isSettled: () => boolean, limitMs: number): Promise<void> {
  const endMs = performance.now() + limitMs
  while (!isSettled() && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
