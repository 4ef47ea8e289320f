import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  addTo,
  merged,
  newSketch,
  quantileOf,
  relativeError,
  resolvedMs,
  type Sketch,
} from '#figures/sketch.ts'

const times = fc.array(fc.double({ min: resolvedMs.least, max: 600_000, noNaN: true }), {
  minLength: 1,
  maxLength: 400,
})

function sketchOf(values: readonly number[]): Sketch {
  const sketch = newSketch()
  for (const value of values) addTo(sketch, value)
  return sketch
}

/** By nearest rank. */
function exactly(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] ?? Number.NaN
}

const asText = (sketch: Sketch) => JSON.stringify([...sketch].sort(([a], [b]) => a - b))

test('every percentile is at most 1 % off the exact one', () => {
  expect(relativeError).toBe(0.01)
  fc.assert(
    fc.property(times, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
      const exact = exactly(values, share)
      const told = quantileOf(sketchOf(values), share) ?? Number.NaN
      expect(Math.abs(told - exact)).toBeLessThanOrEqual(exact * relativeError * (1 + 1e-9))
    }),
    { numRuns: 500 },
  )
})

test('the bound is a real one: somewhere an estimate is nearly that far off', () => {
  const offs = Array.from({ length: 2_000 }, (_, at) => {
    const value = 1 + at / 100
    return Math.abs((quantileOf(sketchOf([value]), 0.5) ?? 0) - value) / value
  })
  expect(Math.max(...offs)).toBeGreaterThan(relativeError * 0.95)
})

test('sketches add up in any order to the sketch of everything', () => {
  fc.assert(
    fc.property(times, times, times, (a, b, c) => {
      const [first, second, third] = [a, b, c].map(sketchOf) as [Sketch, Sketch, Sketch]
      const all = asText(sketchOf([...a, ...b, ...c]))
      expect(asText(merged(merged(first, second), third))).toBe(all)
      expect(asText(merged(first, merged(third, second)))).toBe(all)
    }),
  )
})

test('adding up changes neither of the two', () => {
  const [a, b] = [sketchOf([1, 2]), sketchOf([2, 3])]
  const before = [asText(a), asText(b)]
  merged(a, b)
  expect([asText(a), asText(b)]).toEqual(before)
})

test('times too short or too long to be told apart are taken for the bound', () => {
  const least = quantileOf(sketchOf([0]), 0.5) ?? 0
  expect(Math.abs(least - resolvedMs.least)).toBeLessThanOrEqual(resolvedMs.least * 0.0101)
  const most = quantileOf(sketchOf([Number.MAX_VALUE]), 0.5) ?? 0
  expect(Math.abs(most - resolvedMs.most)).toBeLessThanOrEqual(resolvedMs.most * 0.0101)
  expect(quantileOf(newSketch(), 0.5)).toBeNull()
})
