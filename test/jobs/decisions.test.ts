import { expect, test } from 'vitest'
import { tenantId } from '#ids.ts'
import { backoffMs } from '#jobs/backoff.ts'
import { gather } from '#jobs/gather.ts'
import { succeeded, type Unfinished, unfinished } from '#jobs/run.ts'
import { createShares } from '#jobs/share.ts'
import { createSlots } from '#jobs/slots.ts'
import { TaskPause, TaskRefusal } from '#jobs/task.ts'
import { errands } from './fixture.ts'

const [ada, bob, cyd] = ['a', 'b', 'c'].map((end) => tenantId(`ten_${end.padStart(26, '0')}`))
if (!ada || !bob || !cyd) throw new Error('three tenants')

test('waits double from the first to the longest, each a fifth shorter or longer by chance', () => {
  const backoff = { firstMs: 1_000, mostMs: 10_000 }
  const middles = [1, 2, 3, 4, 5, 6, 60].map((failures) => backoffMs(backoff, failures, 0.5))
  expect(middles).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000])
  expect(backoffMs(backoff, 2, 0)).toBe(1_600)
  expect(backoffMs(backoff, 2, 1)).toBe(2_400)
})

test('how a run ended: kept, tried again, given up, cancelled or given back', () => {
  const task = errands(async () => undefined, { attemptsMax: 2, timeoutMs: 7_000 })
  const at = { now: new Date(0), random: 0.5 }
  const fault = new Error('internal words')
  expect(succeeded(undefined)).toEqual({ status: 'SUCCEEDED', result: null })
  expect(succeeded({ rows: 3 })).toEqual({ status: 'SUCCEEDED', result: '{"rows":3}' })
  expect(succeeded({ text: 'ä'.repeat(33 * 1024) }).status).toBe('FAILED')
  const ended = (fruitless: number, more: Partial<Unfinished> = {}) =>
    unfinished(task, { error: fault, broken: undefined, isCutOff: false, ...more, fruitless }, at)
  expect(ended(1)).toEqual({
    status: 'PENDING',
    dueAt: new Date(10),
    error: 'It failed by a fault of ours, which is in our log.',
  })
  expect(ended(2).status).toBe('FAILED')
  expect(ended(1, { error: new TaskRefusal('No.') })).toEqual({ status: 'FAILED', error: 'No.' })
  expect(ended(2, { broken: 'time' })).toEqual({
    status: 'FAILED',
    error: 'It took longer than 7 seconds.',
  })
  // Given back and cancelled are no failures, not even of the last attempt.
  expect(ended(2, { broken: 'stopping' })).toEqual({ status: 'GIVEN_BACK' })
  expect(ended(2, { broken: 'cancelled' })).toEqual({ status: 'CANCELLED' })
  // Nor is it one that the database went away, or that there is nothing to do for the moment.
  expect(ended(2, { isCutOff: true })).toEqual({ status: 'GIVEN_BACK', dueAt: new Date(5_000) })
  const dueAt = new Date(300)
  expect(ended(2, { error: new TaskPause(300) })).toEqual({ status: 'GIVEN_BACK', dueAt })
  expect(ended(2, { error: new TaskPause(300), broken: 'time' }).status).toBe('FAILED')
})

test('a share grows with jobs that end, and falls back when one must be given back', () => {
  const shares = createShares(10)
  expect(shares.exceptions(0)).toEqual({ tenantIds: [], shares: [] })
  for (let ended = 0; ended < 30; ended += 1) shares.ended(ada)
  shares.ended(bob)
  expect(shares.exceptions(0)).toEqual({ tenantIds: [ada, bob], shares: [40, 11] })
  for (let ended = 0; ended < 1_000; ended += 1) shares.ended(ada)
  expect(shares.exceptions(0).shares).toEqual([500, 11])
  shares.refused(ada, 0)
  expect(shares.exceptions(100)).toEqual({ tenantIds: [bob, ada], shares: [11, 0] })
  expect(shares.exceptions(300)).toEqual({ tenantIds: [bob], shares: [11] })
  shares.refused(bob, 300)
  shares.ended(bob)
  expect(shares.exceptions(301)).toEqual({ tenantIds: [bob], shares: [11] })
})

test('whoever holds slots holds fewer than are free, so that the next tenant finds some', async () => {
  const slots = createSlots(8, 20)
  const taken = async (tenant: typeof ada, wanted: number) => {
    const given = await Promise.all(Array.from({ length: wanted }, () => slots.take(tenant)))
    return given.filter((free) => free !== undefined)
  }
  expect(await taken(ada, 20)).toHaveLength(4)
  expect(await taken(bob, 20)).toHaveLength(2)
  expect(await taken(cyd, 20)).toHaveLength(1)
})

test('a slot that comes free goes to whoever holds least', async () => {
  const slots = createSlots(4, 60_000)
  const first = await slots.take(ada)
  await slots.take(ada)
  const second = await slots.take(bob)
  const order: string[] = []
  const waits = [slots.take(ada), slots.take(cyd)].map((given, at) =>
    given.then(() => order.push(at === 0 ? 'ada' : 'cyd')),
  )
  second?.()
  first?.()
  await Promise.race(waits)
  expect(order[0]).toBe('cyd')
})

test('what is asked for while a batch is under way is one batch', async () => {
  const batches: number[][] = []
  const double = gather(
    async (items: readonly number[]) => {
      batches.push([...items])
      await new Promise((resolve) => setTimeout(resolve, 5))
      return items.map((item) => item * 2)
    },
    { batchMax: 3, isOfOne: () => false },
  )
  const first = [double(1), double(2)]
  await Promise.resolve()
  await Promise.resolve()
  const rest = [3, 4, 5, 6].map(double)
  expect(await Promise.all([...first, ...rest])).toEqual([2, 4, 6, 8, 10, 12])
  expect(batches).toEqual([[1, 2], [3, 4, 5], [6]])
})

test('batches that are to begin apart do, but for the first and for a whole one that waits', async () => {
  const begunMs: number[] = []
  const sizes: number[] = []
  const run = gather(
    async (items: readonly number[]) => {
      begunMs.push(performance.now())
      sizes.push(items.length)
      return items
    },
    { batchMax: 3, isOfOne: () => false, apartMs: 400 },
  )
  const startMs = performance.now()
  await run(1)
  await Promise.all([2, 3].map(run))
  await Promise.all([4, 5, 6, 7].map(run))
  const [first = 0, second = 0, third = 0, fourth = 0] = begunMs.map((ms) => ms - startMs)
  expect(sizes).toEqual([1, 2, 3, 1])
  expect(first).toBeLessThan(300)
  expect(second - first).toBeGreaterThanOrEqual(399)
  expect(third - second).toBeGreaterThanOrEqual(399)
  expect(fourth - third).toBeGreaterThanOrEqual(399)

  await Promise.all([8, 9, 10, 11, 12, 13].map(run))
  const [whole = 0, wholeToo = 0] = begunMs.slice(-2)
  expect(sizes.slice(-2)).toEqual([3, 3])
  expect(wholeToo - whole, 'nothing is gained by waiting').toBeLessThan(300)
})

test('what is of different lanes is in different batches, and none waits for another', async () => {
  const batches: string[][] = []
  const { promise: letGo, resolve: go } = Promise.withResolvers<void>()
  const run = gather(
    async (items: readonly string[]) => {
      batches.push([...items])
      if (items[0]?.startsWith('slow')) await letGo
      return items
    },
    { batchMax: 10, isOfOne: () => false, laneOf: (item) => item.slice(0, 4) },
  )
  const slow = ['slow 1', 'slow 2'].map(run)
  await Promise.all(['fast 1', 'fast 2'].map(run))
  await run('fast 3')
  const waiting = run('slow 3')
  expect(batches).toEqual([['slow 1', 'slow 2'], ['fast 1', 'fast 2'], ['fast 3']])
  go()
  await Promise.all([...slow, waiting])
  expect(batches.at(-1)).toEqual(['slow 3'])
})

test('one that spoils its batch fails alone', async () => {
  const run = gather(
    async (items: readonly number[]) => {
      if (items.includes(13)) throw new Error('thirteen')
      return items
    },
    { batchMax: 10, isOfOne: (error) => error instanceof Error && error.message === 'thirteen' },
  )
  const outcomes = await Promise.allSettled([12, 13, 14].map(run))
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})
