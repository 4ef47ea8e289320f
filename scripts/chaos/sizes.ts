import type { Size } from './plan.ts'

const usual: Size = {
  writes: 100_000,
  kills: 20,
  restarts: 3,
  // Beyond the lease of a delivery, and beyond that of a job.
  stopSeconds: [70, 20],
  storms: 8,
  changes: 5,
}

/** How much goes wrong: as usual, in the tests, and over night. */
export const sizes = {
  usual,
  short: { writes: 1_500, kills: 3, restarts: 1, stopSeconds: [20], storms: 2, changes: 1 },
  long: {
    ...{ writes: 1_000_000, kills: 200, restarts: 30, storms: 80, changes: 50 },
    stopSeconds: Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? 70 : 20)),
  },
} satisfies Record<string, Size>
