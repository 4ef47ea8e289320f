import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Outcome } from '#egress/outcome.ts'
import { nameOutcome, nextStep, retryAfterMs } from '#webhooks/dispatch.ts'
import { usualDelaysSeconds } from '#webhooks/retry-policy.ts'

const now = new Date('2026-02-04T10:00:00.000Z')
const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000]

const answered = (status: number, headers: Record<string, string> = {}): Outcome => ({
  kind: 'answered',
  ...{ status, headers, body: Buffer.alloc(0), isTruncated: false, address: '192.0.2.1' },
  durationMs: 1,
})
const failed = (reason: Extract<Outcome, { kind: 'failed' }>['reason']): Outcome => ({
  kind: 'failed',
  ...{ reason, detail: 'It failed.', durationMs: 1 },
})
/** So far along the usual schedule. */
const usual = (retryCount: number) => ({ delaysSeconds: usualDelaysSeconds, retryCount })
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test.each([
  ['200', answered(200), 'DELIVERED', 'done'],
  ['204', answered(204), 'DELIVERED', 'done'],
  ['299', answered(299), 'DELIVERED', 'done'],
  ['300', answered(300), 'REDIRECTED', 'retry'],
  ['302', answered(302), 'REDIRECTED', 'retry'],
  ['304', answered(304), 'REDIRECTED', 'retry'],
  ['400', answered(400), 'REFUSED', 'retry'],
  ['401', answered(401), 'REFUSED', 'retry'],
  ['404', answered(404), 'REFUSED', 'retry'],
  ['410', answered(410), 'GONE', 'gone'],
  ['429', answered(429), 'THROTTLED', 'retry'],
  ['500', answered(500), 'REFUSED', 'retry'],
  ['503', answered(503), 'REFUSED', 'retry'],
  ['599', answered(599), 'REFUSED', 'retry'],
  ['a time-out', failed('timed_out'), 'TIMED_OUT', 'retry'],
  ['a name that does not resolve', failed('name_unresolved'), 'NAME_UNRESOLVED', 'retry'],
  ['a refused connection', failed('connection_failed'), 'CONNECTION_FAILED', 'retry'],
  ['an untrusted certificate', failed('tls_failed'), 'TLS_FAILED', 'retry'],
  ['a forbidden address', failed('address_forbidden'), 'ADDRESS_FORBIDDEN', 'retry'],
  ['what is not HTTP', failed('protocol_error'), 'PROTOCOL_ERROR', 'retry'],
  ['our own failure', failed('aborted'), 'INTERRUPTED', 'retry'],
])('%s is named as the contract says, and so is what follows', (_, outcome, name, kind) => {
  expect(nameOutcome(outcome)).toBe(name)
  expect(nextStep(outcome, usual(0), now, 0.5).kind).toBe(kind)
})

test('a retry comes within a fifth of its place in the schedule, however the dice fall', () => {
  const place = fc.integer({ min: 0, max: usualDelaysSeconds.length - 1 })
  fc.assert(
    fc.property(place, random, (retryCount, dice) => {
      const next = nextStep(answered(500), usual(retryCount), now, dice)
      if (next.kind !== 'retry') throw new Error(next.kind)
      const ratio =
        (next.at.getTime() - now.getTime()) / (1_000 * (usualDelaysSeconds[retryCount] ?? 0))
      expect(ratio).toBeGreaterThanOrEqual(0.7999)
      expect(ratio).toBeLessThanOrEqual(1.2001)
    }),
  )
})

test('the dice spread retries over the whole of that fifth', () => {
  const waits = [0, 0.999_999].map((dice) => {
    const next = nextStep(answered(500), usual(1), now, dice)
    return next.kind === 'retry' && next.at.getTime() - now.getTime()
  })
  expect(waits).toEqual([4 * minute, 6 * minute - 1])
})

/** When each try comes, in ms from the first, until there are no more; thirty days are plenty. */
function triesOf(dice: () => number, outcomeOf: () => Outcome): number[] {
  const tries = [0]
  for (let at = 0; at < 30 * day; ) {
    const next = nextStep(
      outcomeOf(),
      usual(tries.length - 1),
      new Date(now.getTime() + at),
      dice(),
    )
    if (next.kind !== 'retry') break
    at = next.at.getTime() - now.getTime()
    tries.push(at)
  }
  return tries
}

test('in thirty days a failing endpoint is tried exactly at the documented times', () => {
  const documented = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
  let at = 0
  const expected = [0, ...documented.map((seconds) => (at += seconds * second))]
  expect(
    triesOf(
      () => 0.5,
      () => answered(500),
    ),
  ).toEqual(expected)
  expect(
    triesOf(
      () => 0.5,
      () => failed('timed_out'),
    ),
  ).toEqual(expected)
})

test('whatever the dice and the receiver say, ten tries are made within thirty days', () => {
  const asked = fc.oneof(fc.nat().map(String), fc.string(), fc.constant('9'.repeat(400)))
  fc.assert(
    fc.property(fc.infiniteStream(random), fc.infiniteStream(asked), (dice, headers) => {
      const outcomeOf = () => answered(503, { 'retry-after': headers.next().value })
      const tries = triesOf(() => dice.next().value, outcomeOf)
      expect(tries).toHaveLength(10)
      expect(tries.at(-1)).toBeLessThan(30 * day)
    }),
  )
})

test.each([
  ['seconds', '120', 120 * second],
  ['none', '0', 0],
  ['a date', 'Wed, 04 Feb 2026 10:05:00 GMT', 5 * minute],
  ['a date that has passed', 'Wed, 04 Feb 2026 09:00:00 GMT', 0],
  ['what nobody can read', 'soon', 0],
  ['a negative number', '-5', 0],
  ['nothing', undefined, 0],
])('Retry-After as %s is read as RFC 9110 has it', (_, header, expected) => {
  expect(retryAfterMs(header, now)).toBe(expected)
})

test.each([
  ['is later than the schedule is honoured', '60', 60 * second],
  ['is earlier than the schedule does not hasten it', '1', 5 * second],
  ['as a date is honoured', 'Wed, 04 Feb 2026 12:00:00 GMT', 2 * hour],
  ['is absurd puts the try off by a day, not more', '99999999999999', day],
  ['is absurd as a date does the same', 'Fri, 01 Jan 2100 00:00:00 GMT', day],
])('a Retry-After that %s', (_, header, waitMs) => {
  const next = nextStep(answered(429, { 'retry-after': header }), usual(0), now, 0.5)
  expect(next).toEqual({ kind: 'retry', at: new Date(now.getTime() + waitMs) })
})

test('after the last place of the schedule a delivery is exhausted, Retry-After or not', () => {
  const last = usualDelaysSeconds.length
  expect(nextStep(answered(500), usual(last), now, 0.5)).toEqual({ kind: 'exhausted' })
  const asking = answered(429, { 'retry-after': '60' })
  expect(nextStep(asking, usual(last), now, 0.5)).toEqual({ kind: 'exhausted' })
  expect(nextStep(answered(200), usual(last), now, 0.5)).toEqual({ kind: 'done' })
})
