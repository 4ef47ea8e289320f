import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLimiter, judgeRate, keyLimit, type RateLimit } from '#http/limit.ts'
import { startSecond } from '../api-keys/second-process.ts'
import { startWorld, type World } from '../world.ts'
import { exhaust, stoppedClock } from './fixture.ts'

/** Rates with an interval of whole milliseconds, as ours is, so that nothing is rounded. */
const limits: fc.Arbitrary<RateLimit> = fc.record({
  perSecond: fc.constantFrom(1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500),
  burst: fc.integer({ min: 1, max: 200 }),
})
/** Gaps between requests in ms: mostly bursts, at times a rest. */
const gaps = fc.array(fc.oneof(fc.constant(0), fc.nat(20), fc.nat(3_000)), { maxLength: 300 })

/** When requests at these moments are let in. */
function admitted(limit: RateLimit, moments: readonly number[]): number[] {
  const { take } = createLimiter(limit)
  return moments.filter((nowMs) => take('caller', nowMs) === 0)
}

function momentsOf(steps: readonly number[]): number[] {
  let nowMs = 1_000_000
  return steps.map((step) => (nowMs += step))
}

test('in no stretch of time are more let in than a burst and what the rate refills', () => {
  fc.assert(
    fc.property(limits, gaps, (limit, steps) => {
      const times = admitted(limit, momentsOf(steps))
      times.forEach((start, from) => {
        times.slice(from).forEach((end, more) => {
          const refilled = ((end - start) * limit.perSecond) / 1_000
          expect(more + 1).toBeLessThanOrEqual(limit.burst + refilled)
        })
      })
    }),
  )
})

test('who keeps to the rate is never refused, also straight after a burst', () => {
  fc.assert(
    fc.property(limits, fc.nat(500), (limit, count) => {
      const intervalMs = 1_000 / limit.perSecond
      const burst = Array.from({ length: limit.burst }, () => 5_000)
      const steady = Array.from({ length: count }, (_, at) => 5_000 + (at + 1) * intervalMs)
      const wanted = [...burst, ...steady]
      expect(admitted(limit, wanted)).toEqual(wanted)
    }),
  )
})

test('who is refused is let in after the time that they were told, and not before', () => {
  fc.assert(
    fc.property(limits, gaps, (limit, steps) => {
      let arrivalMs: number | undefined
      for (const nowMs of momentsOf(steps)) {
        const verdict = judgeRate(arrivalMs, nowMs, limit)
        if (verdict.isAllowed) {
          arrivalMs = verdict.nextMs
          continue
        }
        const { retryAfterMs } = verdict
        expect(retryAfterMs).toBeGreaterThan(0)
        expect(judgeRate(arrivalMs, nowMs + retryAfterMs, limit).isAllowed).toBe(true)
        expect(judgeRate(arrivalMs, nowMs + retryAfterMs - 1, limit).isAllowed).toBe(false)
      }
    }),
  )
})

test('a refusal costs nothing, and callers do not count against each other', () => {
  const limit = { perSecond: 1, burst: 3 }
  const { take } = createLimiter(limit)
  const twice = (caller: string, nowMs: number) => [take(caller, nowMs), take(caller, nowMs)]
  expect([...twice('a', 0), ...twice('a', 0)]).toEqual([0, 0, 0, 1_000])
  for (let again = 0; again < 100; again += 1) expect(take('a', 0)).toBe(1_000)
  expect(take('a', 1_000)).toBe(0)
  expect([...twice('b', 0), ...twice('b', 0)]).toEqual([0, 0, 0, 1_000])
})

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

test('a key that calls too often is told when to come back, while others are served', async () => {
  const { clock, step } = stoppedClock()
  const api = await world.newTenant()
  const make = async () => {
    const made = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['clients:read'] })
    return made.body.key
  }
  const [greedy, modest] = [await make(), await make()]
  const second = await startSecond(world, (ctx) => ({ ...ctx, clock }))

  const refused = await exhaust(second.url, greedy)
  expect(await refused.json()).toMatchObject({ code: 'quota_exceeded', status: 429 })
  const seconds = Number(refused.headers.get('retry-after'))
  expect(seconds).toBe(1)
  expect(await second.statusFor(greedy)).toBe(429)
  expect(await second.statusFor(modest)).toBe(200)
  expect(await second.statusFor(api.key)).toBe(200)

  step(seconds * 1_000)
  const again = Array.from({ length: keyLimit.perSecond + 1 }, () => second.statusFor(greedy))
  const statuses = await Promise.all(again)
  expect(statuses.filter((status) => status === 200)).toHaveLength(keyLimit.perSecond)
  await second.stop()
})
