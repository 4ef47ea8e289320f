import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AttemptOutcome } from '#webhooks/dispatch.ts'
import {
  type Evidence,
  failuresMax,
  type Health,
  isWell,
  newHealth,
  noteOutcome,
  openMs,
  opensAfter,
  pauseMsMax,
  reasonsOf,
} from '#webhooks/health.ts'

const start = new Date('2026-02-04T10:00:00.000Z')
const at = (ms: number) => new Date(start.getTime() + ms)
const cap = 10

interface Happening {
  outcome: AttemptOutcome
  startMs: number
  endMs: number
  status?: number
  retryAfterMs?: number
}

function evidenceOf({ outcome, startMs, endMs, status, retryAfterMs = 0 }: Happening): Evidence {
  return {
    ...{ attemptId: `att_${endMs}`, deliveryId: `whd_${startMs}`, outcome, retryAfterMs },
    responseStatus: status ?? (outcome === 'DELIVERED' ? 200 : null),
    ...{ startedAt: at(startMs), endedAt: at(endMs) },
  }
}

/** One after the other, each a second long, so many of the same kind. */
function after(health: Health, outcome: AttemptOutcome, count: number, fromMs = 0, more = {}) {
  let state = health
  for (let nth = 0; nth < count; nth += 1) {
    const startMs = fromMs + nth * 1_000
    state = noteOutcome(state, evidenceOf({ outcome, startMs, endMs: startMs + 999, ...more }), cap)
  }
  return state
}

const healthy = newHealth(start)

test('nothing is well as long as it fails, and well again soon after it is accepted', () => {
  const states = [1, 4, 5, 19, 20].map((count) => after(healthy, 'REFUSED', count).state)
  expect(states).toEqual(['HEALTHY', 'HEALTHY', 'DEGRADED', 'DEGRADED', 'PROBING'])
  const closed = after(after(healthy, 'REFUSED', 20), 'DELIVERED', 1, 60_000)
  expect(closed).toMatchObject({
    ...{ state: 'DEGRADED', consecutiveFailures: 0, openedCount: 0, openUntil: null },
    ...{ firstFailureAt: null, lastOutcome: 'DELIVERED', lastSuccessAt: at(60_999) },
  })
  const later = after(closed, 'DELIVERED', 30, 70_000)
  expect([later.state, isWell(later, at(200_000))]).toEqual(['HEALTHY', true])
})

test('a circuit that opened stays so until its time, then for twice as long, up to the most', () => {
  let health = after(healthy, 'CONNECTION_FAILED', opensAfter)
  const lasts: number[] = []
  for (let probe = 0; probe < 9; probe += 1) {
    const until = health.openUntil?.getTime() ?? 0
    lasts.push(until - (health.lastFailureAt?.getTime() ?? 0))
    health = after(health, 'CONNECTION_FAILED', 1, until - start.getTime())
  }
  const [first, most] = [openMs.first, openMs.most]
  expect(lasts).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256].map((n) => Math.min(n * first, most)))
  expect(health).toMatchObject({ state: 'PROBING', inFlightLimit: 1 })
})

test('what was under way when a circuit opened does not open it for longer', () => {
  const opened = after(healthy, 'REFUSED', opensAfter)
  const [startMs, endMs] = [opensAfter * 1_000 - 1_500, opensAfter * 1_000 + 4_000]
  const late = noteOutcome(opened, evidenceOf({ outcome: 'REFUSED', startMs, endMs }), cap)
  expect(late.openUntil).toEqual(opened.openUntil)
  expect(late).toMatchObject({ openedCount: 1, consecutiveFailures: opensAfter + 1 })
})

test('what failed late, having begun before the last success, is no failure in a row', () => {
  const once = after(healthy, 'REFUSED', 1)
  const accepted = after(once, 'DELIVERED', 1, 5_000)
  const slow = { outcome: 'TIMED_OUT', startMs: 4_000, endMs: 19_000 } as const
  const late = noteOutcome(accepted, evidenceOf(slow), cap)
  expect(late).toMatchObject({ consecutiveFailures: 0, firstFailureAt: null, inFlightLimit: 5 })
  const since = noteOutcome(late, evidenceOf({ ...slow, startMs: 6_000 }), cap)
  expect(since).toMatchObject({ consecutiveFailures: 1, firstFailureAt: at(19_000) })
})

test.each<[string, AttemptOutcome, number | undefined, number | null]>([
  ['a time-out', 'TIMED_OUT', undefined, 5],
  ['429', 'THROTTLED', 429, 5],
  ['503', 'REFUSED', 503, 5],
  ['500', 'REFUSED', 500, null],
  ['a refused connection', 'CONNECTION_FAILED', undefined, null],
])(
  'after %s as many as before may be under way at once, or half as many',
  (_, outcome, status, limit) => {
    const evidence = evidenceOf({ outcome, startMs: 0, endMs: 1, ...(status && { status }) })
    expect(noteOutcome(healthy, evidence, cap).inFlightLimit).toBe(limit)
  },
)

test('what is sent one at a time anyway is sent no less, and is not degraded by it', () => {
  const evidence = evidenceOf({ outcome: 'THROTTLED', startMs: 0, endMs: 1, status: 429 })
  const one = noteOutcome(healthy, evidence, 1)
  expect([one.inFlightLimit, one.state]).toEqual([null, 'HEALTHY'])
})

test('an endpoint that hangs holds one slot after its first ten attempts, and gets one more by each success', () => {
  const hung = after(healthy, 'TIMED_OUT', 10)
  expect(hung.inFlightLimit).toBe(1)
  const limits = [1, 2, 8, 9].map((count) => after(hung, 'DELIVERED', count, 60_000).inFlightLimit)
  expect(limits).toEqual([2, 3, 9, null])
})

test.each([
  ['429', { outcome: 'THROTTLED', status: 429, retryAfterMs: 90_000 }, 90_001],
  ['503', { outcome: 'REFUSED', status: 503, retryAfterMs: 90_000 }, 90_001],
  ['for ever', { outcome: 'THROTTLED', status: 429, retryAfterMs: Infinity }, pauseMsMax + 1],
] as const)(
  'Retry-After with %s keeps everything from the endpoint, within bounds',
  (_, how, untilMs) => {
    const health = noteOutcome(healthy, evidenceOf({ startMs: 0, endMs: 1, ...how }), cap)
    expect(health.pausedUntil).toEqual(at(untilMs))
    expect(reasonsOf(health, at(untilMs - 1))).toContain('RETRY_AFTER')
    expect(reasonsOf(health, at(untilMs))).not.toContain('RETRY_AFTER')
  },
)

test('an endpoint that fails every other time is DEGRADED, though never twice in a row', () => {
  let health = healthy
  for (let round = 0; round < 40; round += 1) {
    health = after(health, 'REFUSED', 2, round * 3_000)
    health = after(health, 'DELIVERED', 1, round * 3_000 + 2_000)
  }
  expect(health.state).toBe('DEGRADED')
  expect(reasonsOf(health, at(200_000))).toEqual(['FREQUENT_FAILURES'])
})

test.each(['TRANSFORMATION_FAILED', 'INTERRUPTED', 'GONE'] as const)(
  '%s says nothing of health',
  (outcome) => {
    const before = after(healthy, 'REFUSED', 3)
    expect(noteOutcome(before, evidenceOf({ outcome, startMs: 9_000, endMs: 9_001 }), cap)).toBe(
      before,
    )
  },
)

const outcomes = ['DELIVERED', 'REFUSED', 'THROTTLED', 'TIMED_OUT', 'INTERRUPTED', 'TLS_FAILED']
const anyHappening = fc.record({
  outcome: fc.constantFrom(...(outcomes as AttemptOutcome[])),
  restMs: fc.integer({ min: 0, max: 40_000 }),
  tookMs: fc.integer({ min: 0, max: 15_000 }),
  retryAfterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 10 ** 9 })),
  inFlightMax: fc.constant(cap),
})

test('whatever happens, limits keep their bounds, times are no further off than allowed, and a success closes', () => {
  fc.assert(
    fc.property(fc.array(anyHappening, { maxLength: 200 }), (happenings) => {
      let [health, nowMs] = [healthy, 0]
      for (const { outcome, restMs, tookMs, retryAfterMs, inFlightMax } of happenings) {
        nowMs += restMs
        const [startMs, endMs] = [Math.max(0, nowMs - tookMs), nowMs]
        const evidence = evidenceOf({ outcome, startMs, endMs, retryAfterMs })
        health = noteOutcome(health, evidence, inFlightMax)
        const { inFlightLimit, openUntil, pausedUntil, openedCount, failures } = health
        expect(inFlightLimit ?? 1).toBeGreaterThanOrEqual(1)
        expect(inFlightLimit ?? 1).toBeLessThan(cap)
        expect((openUntil?.getTime() ?? 0) - at(nowMs).getTime()).toBeLessThanOrEqual(openMs.most)
        expect((pausedUntil?.getTime() ?? 0) - at(nowMs).getTime()).toBeLessThanOrEqual(pauseMsMax)
        expect(openedCount > 0).toBe(health.state === 'PROBING')
        expect(openedCount > 0).toBe(openUntil !== null)
        expect(failures.length).toBeLessThanOrEqual(failuresMax)
        if (outcome === 'DELIVERED') expect(openedCount).toBe(0)
      }
    }),
  )
})

test('however it went, an endpoint that accepts everything from now on is soon well, and soon has all its slots', () => {
  fc.assert(
    fc.property(fc.array(anyHappening, { maxLength: 100 }), (happenings) => {
      let [health, nowMs] = [healthy, 0]
      for (const { outcome, restMs, tookMs } of happenings) {
        nowMs += restMs
        const evidence = evidenceOf({ outcome, startMs: Math.max(0, nowMs - tookMs), endMs: nowMs })
        health = noteOutcome(health, evidence, cap)
      }
      const recovered = after(health, 'DELIVERED', 40, nowMs)
      expect(recovered).toMatchObject({ state: 'HEALTHY', inFlightLimit: null, openUntil: null })
      expect(isWell(recovered, at(nowMs + 41_000))).toBe(true)
    }),
  )
})
