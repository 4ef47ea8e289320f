import { expect, test } from 'vitest'
import { createQueue } from '#request-log/queue.ts'
import { createThinning, refusedRowsPerMinute } from '#request-log/thinning.ts'
import { aCall, tenantA, tenantB } from './fixture.ts'

const minuteMs = 60_000

function newQueue(entriesMax = 1_000, bodyBytesMax = 1_000) {
  let givenUp = 0
  const queue = createQueue({ entriesMax, bodyBytesMax }, (count) => {
    givenUp += count
  })
  return { queue, givenUp: () => givenUp }
}

test('a queue that nobody empties stays within its bound, and gives up the oldest', () => {
  const { queue, givenUp } = newQueue(1_000)
  for (let at = 0; at < 5_000; at += 1) {
    queue.push(aCall({ tenantId: tenantA, durationMs: at }), undefined)
    expect(queue.length).toBeLessThanOrEqual(1_000)
  }
  const left = queue.take(1_000)
  expect(left.at(-1)?.call.durationMs).toBe(4_999)
  expect(left.length + givenUp()).toBe(5_000)
})

test('every call without a row is told by the next row of its tenant, once', () => {
  const { queue } = newQueue(500)
  queue.leaveOut(tenantB)
  for (let at = 0; at < 1_200; at += 1) queue.push(aCall({ tenantId: tenantA }), undefined)
  queue.push(aCall({ tenantId: tenantB }), undefined)
  queue.push(aCall({ tenantId: tenantB }), undefined)
  const left = queue.take(10_000)
  const of = (tenant: string) => left.filter(({ call }) => call.tenantId === tenant)
  const told = (tenant: string) => of(tenant).reduce((sum, one) => sum + one.leftOutBefore, 0)
  expect(told(tenantB)).toBe(1)
  expect(of(tenantB).map(({ leftOutBefore }) => leftOutBefore)).toEqual([1, 0])
  expect(told(tenantA) + of(tenantA).length).toBe(1_200)
})

test('what could not be written comes first again, and is given up first', () => {
  const { queue, givenUp } = newQueue(3)
  for (const durationMs of [1, 2]) queue.push(aCall({ durationMs }), undefined)
  const taken = queue.take(2)
  for (const durationMs of [3, 4]) queue.push(aCall({ durationMs }), undefined)
  queue.putBack(taken)
  expect(queue.take(9).map(({ call }) => call.durationMs)).toEqual([2, 3, 4])
  expect(givenUp()).toBe(1)
})

test('bodies that wait take no more memory than is allowed; their rows stay', () => {
  const { queue } = newQueue(1_000, 1_000)
  const bodies = { request: Buffer.alloc(300), response: 'x'.repeat(100) }
  for (let at = 0; at < 5; at += 1) queue.push(aCall(), bodies)
  const taken = queue.take(4)
  expect(taken.map((entry) => entry.bodies !== undefined)).toEqual([true, true, false, false])
  queue.push(aCall(), bodies)
  queue.putBack(taken)
  const kept = queue.take(9).map((entry) => entry.bodies !== undefined)
  expect(kept).toEqual([true, true, false, false, false, true])
})

test('junk gets a bounded number of rows a minute; a call that was let in always gets one', () => {
  const isWritten = createThinning()
  const rowsOf = (count: number, call: Parameters<typeof aCall>[0]) =>
    Array.from({ length: count }, () => isWritten(aCall(call))).filter(Boolean).length
  const finishedAtMs = 10 * minuteMs
  const key = { apiKeyId: 'key_a' as const, finishedAtMs }

  expect(rowsOf(1_000, { finishedAtMs })).toBe(refusedRowsPerMinute)
  expect(rowsOf(1_000, { ...key })).toBe(refusedRowsPerMinute)
  expect(rowsOf(1_000, { ...key, isAdmitted: true })).toBe(1_000)
  // An operation that needs no key lets everybody in, and bounds nobody.
  expect(rowsOf(1_000, { finishedAtMs, isAdmitted: true })).toBe(0)
  expect(rowsOf(1_000, { finishedAtMs: finishedAtMs + minuteMs })).toBe(refusedRowsPerMinute)
})
