import { expect, onTestFinished, test } from 'vitest'
import type { Context } from '#context.ts'
import { type Loop, type LoopOptions, runLoop } from '#jobs/loop.ts'
import { runTimetable } from '#jobs/timetable.ts'
import { createLog } from '#log.ts'
import { until } from './until.ts'

const log = createLog('silent')
const never = 60 * 60 * 1_000

function aLoop(pass: LoopOptions['pass'], idleMs = never): Loop {
  const loop = runLoop({ name: 'test', pass, idleMs, log })
  onTestFinished(() => loop.stop())
  return loop
}

/** A pass that lasts until it is let go. */
function aLongPass() {
  let passes = 0
  let isInside = false
  let letGo: () => void = () => undefined
  return {
    get passes() {
      return passes
    },
    get isInside() {
      return isInside
    },
    letGo: () => letGo(),
    async pass() {
      passes += 1
      isInside = true
      await new Promise<void>((resolve) => {
        letGo = resolve
      })
      isInside = false
      return false
    },
  }
}

test('a loop looks at once when it is woken', async () => {
  let passes = 0
  const loop = aLoop(async () => {
    passes += 1
    return false
  })
  await until(() => passes === 1)
  loop.wake()
  await until(() => passes === 2)
})

test('however often it is woken, a loop keeps its passes apart, but for the first after a rest', async () => {
  const atMs: number[] = []
  const loop = runLoop({
    ...{ name: 'test', idleMs: never, apartMs: 40, log },
    async pass() {
      atMs.push(performance.now())
      return false
    },
  })
  onTestFinished(() => loop.stop())
  await until(() => atMs.length === 1)
  await new Promise((resolve) => setTimeout(resolve, 60))
  const wokenMs = performance.now()
  const waking = setInterval(() => loop.wake(), 1)
  onTestFinished(() => clearInterval(waking))
  await until(() => atMs.length >= 4)
  const [, second = 0, third = 0, fourth = 0] = atMs
  expect(second - wokenMs).toBeLessThan(30)
  expect(third - second).toBeGreaterThanOrEqual(39)
  expect(fourth - third).toBeGreaterThanOrEqual(39)
})

test('a loop that nobody wakes looks by itself after its idle time', async () => {
  let passes = 0
  aLoop(async () => {
    passes += 1
    return false
  }, 5)
  await until(() => passes >= 3)
})

test('a wake-up during a pass is not lost', async () => {
  const work = aLongPass()
  const loop = aLoop(work.pass)
  loop.wake()
  work.letGo()
  await until(() => work.passes === 2)
  work.letGo()
})

test('a loop with more to do does not rest', async () => {
  let left = 1_000
  aLoop(async () => --left > 0)
  await until(() => left === 0, 1_000)
})

test('a failing loop goes on, rests longer each time, and wake-ups do not hurry it', async () => {
  const failedAtMs: number[] = []
  const loop = aLoop(async () => {
    failedAtMs.push(performance.now())
    throw new Error('no database')
  })
  const waking = setInterval(() => loop.wake(), 1)
  onTestFinished(() => clearInterval(waking))
  await until(() => failedAtMs.length >= 4)
  const [first = 0, second = 0, third = 0, fourth = 0] = failedAtMs
  expect(second - first).toBeGreaterThanOrEqual(99)
  expect(third - second).toBeGreaterThanOrEqual(199)
  expect(fourth - third).toBeGreaterThanOrEqual(399)
})

test('after a pass that succeeds, the next failure is a first one again', async () => {
  const atMs: number[] = []
  aLoop(async () => {
    atMs.push(performance.now())
    if (atMs.length !== 3) throw new Error('no database')
    return true
  })
  await until(() => atMs.length >= 5)
  expect((atMs[4] ?? 0) - (atMs[3] ?? 0)).toBeLessThan(190)
})

test('stop waits for the pass under way and starts no other', async () => {
  const work = aLongPass()
  const loop = aLoop(work.pass)
  const stopped = loop.stop()
  loop.wake()
  expect(work.isInside).toBe(true)
  work.letGo()
  await stopped
  expect(work.isInside).toBe(false)
  expect(work.passes).toBe(1)
})

test('stop cuts every rest short, that after a failure too', async () => {
  const failing = aLoop(async () => {
    throw new Error('no database')
  })
  const idle = aLoop(async () => false)
  const startMs = performance.now()
  await Promise.all([failing.stop(), idle.stop()])
  expect(performance.now() - startMs).toBeLessThan(90)
})

test('what recurs runs at once and then at its interval, whatever its neighbour does', async () => {
  const runs = { often: 0, failing: 0 }
  const timetable = runTimetable({ log } as Context, [
    {
      name: 'often',
      everyMs: 5,
      run: async () => {
        runs.often += 1
      },
    },
    {
      name: 'failing',
      everyMs: 5,
      run: async () => {
        runs.failing += 1
        throw new Error('no database')
      },
    },
  ])
  onTestFinished(() => timetable.stop())
  await until(() => runs.often >= 5 && runs.failing >= 2)
})

test('however often it fails, a loop that others wait for rests no longer than it is told to', async () => {
  let passes = 0
  const loop = runLoop({
    ...{ name: 'test', idleMs: never, restMsMax: 1, log },
    async pass() {
      passes += 1
      throw new Error('no')
    },
  })
  onTestFinished(() => loop.stop())
  // Left to itself it would take twelve passes more than a minute.
  await until(() => passes >= 12)
})
