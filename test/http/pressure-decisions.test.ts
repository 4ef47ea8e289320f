import { expect, test } from 'vitest'
import { calm, type Figures, isShed, nextPressure, type Pressure } from '#http/pressure.ts'

const easy: Figures = { lagMs: 2, inside: 500, writesWaiting: 0, readsWaiting: 10 }

/** The levels over looks that are so far apart. */
function levels(looks: readonly Partial<Figures>[], apartMs = 250, first: Pressure = calm) {
  let pressure = first
  return looks.map((figures, at) => {
    pressure = nextPressure(pressure, { ...easy, ...figures }, at * apartMs)
    return pressure.level
  })
}

test('writes are kept out before the loop lags 100 ms, reads only then, health never', () => {
  expect(levels([{ lagMs: 59 }, { lagMs: 60 }, { lagMs: 99 }, { lagMs: 100 }])).toEqual([
    'CALM',
    'NO_WRITES',
    'NO_WRITES',
    'NOTHING',
  ])
  expect(isShed('NO_WRITES', 'write')).toBe(true)
  expect(isShed('NO_WRITES', 'read')).toBe(false)
  expect(isShed('NOTHING', 'read')).toBe(true)
  expect(isShed('CALM', 'write')).toBe(false)
})

test('a loop that is late for other reasons than calls keeps nobody out', () => {
  expect(levels([{ lagMs: 5_000, inside: 99 }])).toEqual(['CALM'])
})

test('a queue of writes keeps out writes alone, a queue of reads both in turn', () => {
  expect(levels([{ writesWaiting: 256 }, { writesWaiting: 10_000 }])).toEqual([
    'NO_WRITES',
    'NO_WRITES',
  ])
  expect(levels([{ readsWaiting: 1_000 }, { readsWaiting: 2_000 }])).toEqual([
    'NO_WRITES',
    'NOTHING',
  ])
})

test('the door does not flap: it opens a step at a time, each after a second of calm', () => {
  const hard = { lagMs: 120 }
  expect(levels([hard, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}])).toEqual([
    ...Array(5).fill('NOTHING'),
    ...Array(5).fill('NO_WRITES'),
    'CALM',
  ])
})

test('a figure between half the bound and the bound leaves things as they are', () => {
  expect(levels([{ lagMs: 70 }, ...Array(20).fill({ lagMs: 40 })]).at(-1)).toBe('NO_WRITES')
  expect(levels(Array(20).fill({ lagMs: 40 })).at(-1)).toBe('CALM')
})

test('what flares up again in between starts the second of calm anew', () => {
  const flaring = [{ lagMs: 70 }, {}, {}, {}, { lagMs: 50 }, {}, {}, {}, {}]
  expect(levels(flaring)).toEqual(Array(9).fill('NO_WRITES'))
})
