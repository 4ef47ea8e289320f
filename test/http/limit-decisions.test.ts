import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  bucketsFor,
  judge,
  limitsWith,
  plausible,
  policiesText,
  restOf,
  restsText,
  usualLimits,
  windowMsOf,
} from '#http/limit.ts'

/** Quotas whose unit comes back in whole milliseconds, so that nothing is rounded. */
const policies = fc.record({
  quota: fc.constantFrom(1, 2, 4, 5, 10, 20, 50, 100, 200),
  windowSeconds: fc.constantFrom(1, 2, 10, 60),
})
/** Gaps between calls in ms, mostly none or short, at times a rest; and what each call costs. */
const calls = fc.array(
  fc.record({
    gapMs: fc.oneof(fc.constant(0), fc.nat(20), fc.nat(3_000)),
    cost: fc.integer({ min: 1, max: 5 }),
  }),
  { maxLength: 300 },
)

test('in no stretch of time is more let through than a quota and what came back meanwhile', () => {
  fc.assert(
    fc.property(policies, calls, (policy, sent) => {
      const spent: { atMs: number; cost: number }[] = []
      let [arrivalMs, nowMs] = [0, 1_000_000]
      for (const { gapMs, cost } of sent) {
        nowMs += gapMs
        const verdict = judge(arrivalMs, nowMs, policy, cost)
        if (!verdict.isAllowed) continue
        arrivalMs = verdict.nextMs
        spent.push({ atMs: nowMs, cost })
      }
      spent.forEach(({ atMs: startMs }, from) => {
        let sum = 0
        for (const { atMs, cost } of spent.slice(from)) {
          sum += cost
          const back = ((atMs - startMs) * policy.quota) / windowMsOf(policy)
          // One call that costs more than the whole quota is let through when nothing is spent.
          expect(sum).toBeLessThanOrEqual(Math.max(policy.quota, cost) + back + cost)
          if (policy.quota >= 5) expect(sum).toBeLessThanOrEqual(policy.quota + back + 1e-6)
        }
      })
    }),
  )
})

test('who keeps to the rate is never refused, also straight after the whole quota', () => {
  fc.assert(
    fc.property(policies, fc.nat(300), (policy, count) => {
      const unitMs = windowMsOf(policy) / policy.quota
      let arrivalMs = 0
      const moments = [
        ...Array.from({ length: policy.quota }, () => 5_000),
        ...Array.from({ length: count }, (_, at) => 5_000 + (at + 1) * unitMs),
      ]
      for (const nowMs of moments) {
        const verdict = judge(arrivalMs, nowMs, policy, 1)
        expect(verdict.isAllowed).toBe(true)
        if (verdict.isAllowed) arrivalMs = verdict.nextMs
      }
    }),
  )
})

test('who is refused is let in after the time that they were told, and not before', () => {
  fc.assert(
    fc.property(policies, calls, (policy, sent) => {
      let [arrivalMs, nowMs] = [0, 1_000_000]
      for (const { gapMs, cost } of sent) {
        nowMs += gapMs
        const verdict = judge(arrivalMs, nowMs, policy, cost)
        if (verdict.isAllowed) {
          arrivalMs = verdict.nextMs
          continue
        }
        const { retryAfterMs } = verdict
        expect(retryAfterMs).toBeGreaterThan(0)
        // Dearer than the quota: it waits until nothing is spent.
        const atMs = cost > policy.quota ? arrivalMs : nowMs + retryAfterMs
        expect(judge(arrivalMs, atMs, policy, cost).isAllowed).toBe(true)
        expect(judge(arrivalMs, atMs - 1, policy, cost).isAllowed).toBe(false)
      }
    }),
  )
})

test('a call that costs many times the quota does not set it free, and a clock set back does', () => {
  const policy = { quota: 1, windowSeconds: 60 }
  const spent = judge(0, 5_000, policy, 5)
  const arrivalMs = spent.isAllowed ? plausible(spent.nextMs, 5_000, policy) : 0
  expect(judge(arrivalMs, 5_000, policy, 1).isAllowed).toBe(false)
  expect(plausible(5_000 + 86_400_000, 5_000, policy)).toBe(5_000)
})

test('what is left is the quota less what was spent, and comes back over the window', () => {
  const policy = { quota: 100, windowSeconds: 10 }
  expect(restOf(0, 5_000, policy)).toBe(100)
  expect(restOf(5_100, 5_000, policy)).toBe(99)
  expect(restOf(15_000, 5_000, policy)).toBe(0)
  expect(restOf(15_000, 10_000, policy)).toBe(50)
  expect(restOf(99_000, 5_000, policy)).toBe(0)
})

test('a call counts for its key, for its tenant, and for its operation where that has a quota', () => {
  const createPayment = { operationId: 'createPayment', kind: 'write' } as const
  const few = { quota: 5, windowSeconds: 60 }
  const limits = limitsWith({ key: { write: few }, operations: { createPayment: few } })
  expect(bucketsFor(createPayment, limits)).toEqual([
    { holder: 'key', policy: { name: 'write', ...few } },
    { holder: 'tenant', policy: { name: 'tenant-write', ...usualLimits.tenant.write } },
    { holder: 'tenant', policy: { name: 'createPayment', ...few } },
  ])
  const listPayments = { operationId: 'listPayments', kind: 'read' } as const
  expect(bucketsFor(listPayments, limits).map(({ policy }) => policy.name)).toEqual([
    'read',
    'tenant-read',
  ])
})

test('the headers are lists of strings with parameters, as the draft has them', () => {
  const buckets = bucketsFor({ operationId: 'getMe', kind: 'read' }, usualLimits)
  expect(policiesText(buckets, 64)).toBe(
    '"read";q=2000;w=10, "tenant-read";q=10000;w=10, "concurrent";q=64;qu="concurrent-requests"',
  )
  expect(restsText([{ name: 'read', rest: 1_999, resetMs: 4.5 }])).toBe('"read";r=1999;t=1')
})
