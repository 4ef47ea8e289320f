import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../world.ts'
import { ask, errands, jobRow, tenantOf } from './fixture.ts'
import { until } from './until.ts'

let world: World
const running = new Map<string, number>()
const most = new Map<string, number>()
beforeAll(async () => {
  const errand = errands(async ({ tenantId, payload, signal }) => {
    const count = (running.get(tenantId) ?? 0) + 1
    running.set(tenantId, count)
    most.set(tenantId, Math.max(most.get(tenantId) ?? 0, count))
    if (payload.name === 'long') {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 60_000)
        signal.addEventListener('abort', () => {
          clearTimeout(timer)
          resolve(undefined)
        })
      })
    }
    running.set(tenantId, (running.get(tenantId) ?? 1) - 1)
    return undefined
  })
  world = await startWorld({ tasks: [errand] })
})
afterAll(() => world.stop())

test('a tenant whose jobs take long, and one with thousands of them, hold nobody else up', async () => {
  const slow = await tenantOf(world.api)
  const flooding = await tenantOf(await world.newTenant('Flooding'))
  const usual = await tenantOf(await world.newTenant('Usual'))
  await ask(
    world,
    slow,
    Array.from({ length: 200 }, () => 'long'),
  )
  const flood = await ask(
    world,
    flooding,
    Array.from({ length: 5_000 }, () => 'quick'),
  )
  await until(() => (running.get(slow) ?? 0) >= 10)

  const tookMs: number[] = []
  for (let turn = 0; turn < 20; turn += 1) {
    const startMs = performance.now()
    const [id = ''] = await ask(world, usual, ['quick'])
    await until(async () => (await jobRow(world, id)).status === 'SUCCEEDED')
    tookMs.push(performance.now() - startMs)
  }
  const [left] = await world.query<{ count: string }>(
    `select count(*) from job where tenant_id = $1 and status = 'PENDING'`,
    [flooding],
  )
  expect(most.get(slow)).toBeLessThanOrEqual(10)
  expect(tookMs.toSorted((a, b) => a - b)[10]).toBeLessThan(1_500)
  // They overtook the flood: it was not over before the last of them.
  expect(Number(left?.count)).toBeGreaterThan(0)
  expect(flood).toHaveLength(5_000)
}, 60_000)
