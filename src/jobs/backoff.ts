import type { Backoff } from './task.ts'

/** Runs of many jobs that failed together must not come back together. */
const jitter = 0.2

/** How long to wait after the `failures`th failed run, in ms; `random` is from 0 to 1. */
export function backoffMs({ firstMs, mostMs }: Backoff, failures: number, random: number): number {
  const doubled = Math.min(firstMs * 2 ** (failures - 1), mostMs)
  return Math.round(doubled * (1 + jitter * (2 * random - 1)))
}
