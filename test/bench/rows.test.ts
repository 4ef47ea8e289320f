import { expect, test } from 'vitest'
import { bounded, compared, isReached, tableOf } from '../../scripts/bench/rows.ts'

const row = (ours: number[], theirs: number[], demand: { atLeast: number } | { atMost: number }) =>
  compared({ what: 'ours', beside: 'theirs', unit: 'req/s', ours, theirs, demand })

test('what did not reach its ratio is not said to have', () => {
  expect(isReached(row([84], [100], { atLeast: 0.85 }))).toBe(false)
  expect(isReached(row([85], [100], { atLeast: 0.85 }))).toBe(true)
  expect(isReached(row([51], [100], { atMost: 0.5 }))).toBe(false)
  expect(isReached(row([50], [100], { atMost: 0.5 }))).toBe(true)
  expect(isReached(row([Number.NaN], [100], { atLeast: 0 }))).toBe(false)
  expect(
    isReached(bounded({ what: 'alone', unit: 'MiB', ours: [301], demand: { atMost: 300 } })),
  ).toBe(false)
})

test('a ratio is taken within each round, so that a slow moment of the machine touches both', () => {
  const { ratio } = row([100, 10, 90], [100, 10, 100], { atLeast: 0.85 })
  expect(ratio).toEqual({ median: 1, least: 0.9, most: 1 })
})

test('the table tells the missed rows from the others', () => {
  const lines = tableOf([row([84], [100], { atLeast: 0.85 }), row([1], [1], { atLeast: 0.85 })])
  const [, , missed, reached] = lines.split('\n')
  expect(missed).toContain('| 0.840 (0.840–0.840) | ≥ 0.85 | **no** |')
  expect(reached).toContain('| yes |')
})
