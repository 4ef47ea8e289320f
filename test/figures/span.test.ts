import { expect, test } from 'vitest'
import { hourMs as hour, rangeOf } from '#figures/span.ts'

const minute = 60_000
const at = Date.UTC(2026, 1, 4, 10, 7)
test.each([
  [
    'an hour is covered by spans of five minutes',
    at - hour,
    at,
    'NONE',
    [at - hour - 2 * minute, at + 3 * minute, 300],
  ],
  [
    'more than a day by hours',
    at - 25 * hour,
    at,
    'NONE',
    [at - 25 * hour - 7 * minute, at + 53 * minute, 3_600],
  ],
  [
    'what is grouped by hours by hours',
    at - hour,
    at,
    'HOUR',
    [at - hour - 7 * minute, at + 53 * minute, 3_600],
  ],
  [
    'what is long ago by hours',
    at - 50 * hour,
    at - 49 * hour,
    'NONE',
    [at - 50 * hour - 7 * minute, at - 49 * hour + 53 * minute, 3_600],
  ],
] as const)('%s', (_, fromMs, toMs, groupBy, [from, to, spanSeconds]) => {
  expect(rangeOf(fromMs, toMs, at, groupBy === 'HOUR')).toEqual({
    fromMs: from,
    toMs: to,
    spanSeconds,
  })
})
