import fc from 'fast-check'
import { expect, test } from 'vitest'
import { coverOf, minutesReliedOnMs } from '#api-metrics/cover.ts'

const minute = 60_000
const hour = 60 * minute
const nowMs = 500_000 * hour + 17 * minute + 1_234

const moments = fc.integer({ min: nowMs - 20 * 24 * hour, max: nowMs })
const rolls = fc.option(
  fc.integer({ min: 0, max: 100 }).map((back) => 500_000 * hour - back * hour),
)

test('whatever is asked for, the rows taken cover all of it, and no call twice', () => {
  fc.assert(
    fc.property(moments, moments, rolls, (a, b, rolledUntilMs) => {
      const asked = { fromMs: Math.min(a, b), toMs: Math.max(a, b) + 1 }
      const { span, minutes, hours } = coverOf(asked, nowMs, rolledUntilMs)
      const parts = [...minutes, ...hours].sort((x, y) => x.fromMs - y.fromMs)
      expect(parts[0]?.fromMs).toBe(span.fromMs)
      expect(parts.at(-1)?.toMs).toBe(span.toMs)
      for (const [at, part] of parts.slice(1).entries()) expect(part.fromMs).toBe(parts[at]?.toMs)
      expect(span.fromMs).toBeLessThanOrEqual(asked.fromMs)
      expect(span.toMs).toBeGreaterThanOrEqual(asked.toMs)
      expect(asked.fromMs - span.fromMs).toBeLessThan(hour)
    }),
    { numRuns: 1_000 },
  )
})

test('minutes that may be gone are read only where no hour was made of them', () => {
  fc.assert(
    fc.property(moments, moments, rolls, (a, b, rolledUntilMs) => {
      const asked = { fromMs: Math.min(a, b), toMs: Math.max(a, b) + 1 }
      const { minutes, hours } = coverOf(asked, nowMs, rolledUntilMs)
      const kept = Math.min(nowMs - minutesReliedOnMs - hour, rolledUntilMs ?? 0)
      for (const { fromMs } of minutes) expect(fromMs).toBeGreaterThanOrEqual(kept)
      for (const part of hours) {
        expect([part.fromMs % hour, part.toMs % hour]).toEqual([0, 0])
        expect(part.toMs).toBeLessThanOrEqual(rolledUntilMs ?? 0)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('a month is read by the hour but for its last minutes', () => {
  const asked = { fromMs: nowMs - 30 * 24 * hour, toMs: nowMs }
  const rolledUntilMs = 500_000 * hour
  const { minutes, hours } = coverOf(asked, nowMs, rolledUntilMs)
  expect(minutes).toEqual([{ fromMs: rolledUntilMs, toMs: rolledUntilMs + 18 * minute }])
  expect(hours).toHaveLength(1)
})
