import type { Chance } from './random.ts'

/** So many moments between two, one in each equal part. */
export function spread(chance: Chance, count: number, from: number, to: number): number[] {
  const part = (to - from) / count
  return Array.from({ length: count }, (_, index) => from + part * (index + chance.next()))
}
