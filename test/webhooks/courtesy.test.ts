import { expect, test } from 'vitest'
import type { TenantId } from '#ids.ts'
import { createCourtesy } from '#webhooks/courtesy.ts'

const big = 'ten_big' as TenantId
const small = 'ten_small' as TenantId

const counts = (some: Partial<Record<string, number>>) =>
  new Map(Object.entries(some) as [TenantId, number][])

test('who is alone is never kept waiting, however busy the process is', () => {
  const courtesy = createCourtesy()
  for (let nowMs = 0; nowMs < 10_000; nowMs += 100) {
    courtesy.took(counts({ [big]: 100 }), nowMs)
    courtesy.wasBusy(1, nowMs)
    expect(courtesy.most()).toBe(Number.POSITIVE_INFINITY)
    expect(courtesy.waiting(nowMs)).toEqual([])
  }
})

test('two who send much are not kept waiting for each other', () => {
  const courtesy = createCourtesy()
  for (let nowMs = 0; nowMs < 5_000; nowMs += 100) {
    courtesy.took(counts({ [big]: 50, [small]: 50 }), nowMs)
    courtesy.wasBusy(1, nowMs)
    expect(courtesy.waiting(nowMs)).toEqual([])
  }
})

/** Both send, and the process is as busy as told, for three seconds. */
function both(busy: number) {
  const courtesy = createCourtesy()
  for (let nowMs = 0; nowMs <= 3_000; nowMs += 100) {
    courtesy.took(counts({ [big]: 30, [small]: 1 }), nowMs)
    courtesy.wasBusy(busy, nowMs)
  }
  courtesy.took(counts({ [big]: 30, [small]: 1 }), 3_000)
  return courtesy
}

test('in a busy process who took much waits for its turn, and who took one does not', () => {
  const courtesy = both(0.9)
  expect(courtesy.most()).toBe(15)
  expect(courtesy.waiting(3_000)).toEqual([big])
  expect(courtesy.nextTurnMs(3_000)).toBe(3_060)
  expect(courtesy.waiting(3_060)).toEqual([])
  expect(courtesy.nextTurnMs(3_060)).toBeUndefined()
})

test('in a process that has time nobody waits', () => {
  const courtesy = both(0.1)
  expect(courtesy.most()).toBe(Number.POSITIVE_INFINITY)
  expect(courtesy.waiting(3_000)).toEqual([])
})

test('once the process has time again, and once the others are gone, nobody waits any more', () => {
  const calmed = both(0.9)
  for (let nowMs = 3_100; nowMs <= 5_500; nowMs += 100) {
    calmed.took(counts({ [big]: 30, [small]: 1 }), nowMs)
    calmed.wasBusy(0.1, nowMs)
  }
  expect(calmed.waiting(5_500)).toEqual([])

  const left = both(0.9)
  for (let nowMs = 3_100; nowMs <= 8_000; nowMs += 100) {
    left.took(counts({ [big]: 30 }), nowMs)
    left.wasBusy(0.9, nowMs)
  }
  expect(left.most()).toBe(Number.POSITIVE_INFINITY)
  expect(left.waiting(8_000)).toEqual([])
})

test('for one who sent much and has done, nobody waits', () => {
  const courtesy = createCourtesy()
  for (let nowMs = 0; nowMs < 3_000; nowMs += 100) {
    courtesy.took(counts({ [small]: 400 }), nowMs)
    courtesy.wasBusy(0.9, nowMs)
  }
  for (let nowMs = 3_000; nowMs < 15_000; nowMs += 100) {
    courtesy.took(counts({ [big]: 400 }), nowMs)
    courtesy.wasBusy(0.9, nowMs)
    expect(courtesy.waiting(nowMs)).toEqual([])
  }
})
