import { expect, test } from 'vitest'
import { createTally, minuteMs } from '#api-metrics/tally.ts'
import { aCall, tenantA, tenantB } from '../request-log/fixture.ts'

const startMs = 1_000 * minuteMs

function newTally(cellsMax = 100) {
  let lost = 0
  const tally = createTally(cellsMax, (calls) => {
    lost += calls
  })
  const add = (told: Parameters<typeof aCall>[0] = {}) =>
    tally.add(aCall({ finishedAtMs: startMs, tenantId: tenantA, ...told }))
  return { tally, add, lost: () => lost }
}

test('a row holds the totals so far, so that writing it twice counts nothing twice', () => {
  const { tally, add } = newTally()
  add({ status: 429, requestBytes: 5, responseBytes: 7 })
  expect(tally.takeCells()).toMatchObject([{ calls: 1, limitHits: 1, clientErrors: 1 }])
  expect(tally.takeCells()).toEqual([])
  add({ status: 503 })
  const [cell] = tally.takeCells()
  expect(cell).toMatchObject({ calls: 2, serverErrors: 1, requestBytes: 5, responseBytes: 7 })
  expect([...(cell?.sketch.values() ?? [])]).toEqual([2])
})

test('what could not be written is written the next time, with what came meanwhile', () => {
  const { tally, add } = newTally()
  add()
  const cells = tally.takeCells()
  tally.putBack(cells)
  add()
  expect(tally.takeCells()).toMatchObject([{ calls: 2 }])
})

test('tenants, keys, operations and minutes are counted apart', () => {
  const { tally, add } = newTally()
  add()
  add({ tenantId: tenantB })
  add({ apiKeyId: 'key_a' })
  add({ finishedAtMs: startMs + minuteMs })
  add({ finishedAtMs: startMs + minuteMs - 1 })
  expect(tally.takeCells().map(({ calls }) => calls)).toEqual([2, 1, 1, 1])
})

test('a minute is let go of once it is over and written, and not before', () => {
  const { tally, add } = newTally(1)
  add()
  tally.forget(startMs + 5 * minuteMs)
  expect(tally.takeCells()).toHaveLength(1)
  tally.forget(startMs + minuteMs)
  add()
  expect(tally.takeCells()).toMatchObject([{ calls: 2 }])
  tally.forget(startMs + 2 * minuteMs)
  add({ finishedAtMs: startMs + 2 * minuteMs })
  expect(tally.takeCells()).toMatchObject([{ calls: 1 }])
})

test('while nothing can be written memory stays bounded, and what is lost is counted', () => {
  const { tally, add, lost } = newTally(10)
  for (let at = 0; at < 100; at += 1) add({ finishedAtMs: startMs + at * minuteMs })
  expect(tally.takeCells()).toHaveLength(10)
  expect(lost()).toBe(90)
  for (let at = 0; at < 100; at += 1) {
    add({ finishedAtMs: startMs + 200 * minuteMs, apiKeyId: `key_${at}` })
  }
  expect(tally.takeCells()).toHaveLength(10)
  expect(lost()).toBe(180)
})

test('a minute shows life only if something of it was written within it', () => {
  const { tally, add } = newTally()
  add({ status: 500 })
  const [during] = tally.takeBeats(startMs)
  expect(during).toMatchObject({ calls: 1, failures: 1, isAlive: false })
  tally.putBack(during ? [during] : [])

  const later = tally.takeBeats(startMs + minuteMs)
  tally.confirm(later, startMs + minuteMs)
  expect(later.map(({ isAlive }) => isAlive)).toEqual([false, true])
  // What is written need not be written again, but each minute begins with a beat.
  expect(tally.takeBeats(startMs + minuteMs)).toEqual([])
  expect(tally.takeBeats(startMs + 2 * minuteMs)).toHaveLength(1)
})
