import { expect, test } from 'vitest'
import { createTurns, type Turns } from '#db/turns.ts'
import { type TenantId, tenantId } from '#ids.ts'

const flood = tenantId(`ten_${'1'.repeat(26)}`)
const quiet = tenantId(`ten_${'2'.repeat(26)}`)
const third = tenantId(`ten_${'3'.repeat(26)}`)
const limits = { places: 4, perTenant: 3, waitingPerTenant: 5, patienceMs: 60_000 }

/** Asks for turns, and keeps in which order they were had. */
function aLine(turns: Turns) {
  const started: TenantId[] = []
  const leaves: (() => void)[] = []
  const errors: unknown[] = []
  return {
    started,
    errors,
    async asks(tenant: TenantId, times = 1) {
      for (let time = 0; time < times; time += 1) {
        turns
          .take(tenant)
          .then((leave) => {
            started.push(tenant)
            leaves.push(leave)
          })
          .catch((error) => errors.push(error))
      }
      await new Promise(setImmediate)
    },
    async oneLeaves() {
      leaves.shift()?.()
      await new Promise(setImmediate)
    },
  }
}

test('one tenant, however much it writes, never holds all connections', async () => {
  const line = aLine(createTurns(limits))
  await line.asks(flood, 8)
  expect(line.started).toEqual([flood, flood, flood])
  await line.asks(quiet)
  expect(line.started.at(-1)).toBe(quiet)
})

test('whoever waits behind a flood is next but one, not last', async () => {
  const turns = createTurns({ ...limits, perTenant: 4 })
  const line = aLine(turns)
  await line.asks(flood, 9)
  await line.asks(quiet)
  await line.asks(third)
  expect(turns.waiting()).toBe(7)
  await line.oneLeaves()
  await line.oneLeaves()
  await line.oneLeaves()
  await line.oneLeaves()
  expect(line.started.slice(4)).toEqual([flood, quiet, third, flood])
})

test('a tenant at its most is passed over, and has its turn when it may', async () => {
  const line = aLine(createTurns(limits))
  await line.asks(flood, 4)
  await line.asks(quiet)
  await line.asks(third)
  expect(line.started).toEqual([flood, flood, flood, quiet])
  await line.oneLeaves()
  expect(line.started.slice(4)).toEqual([flood])
  await line.oneLeaves()
  expect(line.started.slice(4)).toEqual([flood, third])
})

test('what would wait behind too many of its own is refused at once, with a time to come back', async () => {
  const turns = createTurns(limits)
  const line = aLine(turns)
  await line.asks(flood, 9)
  expect(line.errors).toMatchObject([{ code: 'overloaded', headers: { 'retry-after': '1' } }])
  expect(turns.waiting()).toBe(5)
  await line.asks(quiet)
  expect(line.started.at(-1)).toBe(quiet)
})

test('nobody waits for ever, and who gave up takes no place', async () => {
  const turns = createTurns({ ...limits, patienceMs: 5 })
  const line = aLine(turns)
  await line.asks(flood, 4)
  while (line.errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(turns.waiting()).toBe(0)
  await line.oneLeaves()
  await line.asks(flood)
  expect(line.started).toHaveLength(4)
})

test('leaving twice gives back one place', async () => {
  const turns = createTurns({ ...limits, places: 1, perTenant: 1 })
  const leave = await turns.take(flood)
  leave()
  leave()
  const line = aLine(turns)
  await line.asks(flood, 2)
  expect(line.started).toHaveLength(1)
})
