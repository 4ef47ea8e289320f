import { afterAll, beforeAll, expect, test } from 'vitest'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

/** From the reply of a call to its webhook at the receiver, a hundred times, in order of length. */
async function hundredWaits(): Promise<number[]> {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  await anEndpoint(api, receiver.url)
  const arrivedMs: number[] = []
  receiver.answersWith(() => {
    arrivedMs.push(performance.now())
    return { status: 204 }
  })
  const waitsMs: number[] = []
  for (let count = 1; count <= 100; count += 1) {
    await api.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })
    const committedMs = performance.now()
    await receiver.received(count)
    waitsMs.push(Math.max(0, (arrivedMs.at(-1) ?? 0) - committedMs))
  }
  return waitsMs.sort((a, b) => a - b)
}

test('at low load the first attempt follows the commit within 250 ms in 99 of 100 cases', async () => {
  let best = Number.POSITIVE_INFINITY
  // A machine that is busy with something else gets two more chances.
  for (let round = 0; round < 3 && best > 250; round += 1) {
    const waitsMs = await hundredWaits()
    const [p50 = 0, p99 = 0] = [waitsMs[49], waitsMs[98]]
    console.log(`commit to first attempt: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`)
    best = Math.min(best, p99)
  }
  expect(best).toBeLessThanOrEqual(250)
})

test('two thousand deliveries to twenty endpoints drain within twenty seconds', async () => {
  const api = await world.newTenant()
  const client = await aClient(api)
  const receiver = await aReceiver()
  for (let count = 0; count < 20; count += 1) await anEndpoint(api, receiver.url)
  let sent = 0
  let best = Number.POSITIVE_INFINITY
  // A machine that is busy with something else gets two more chances.
  for (let round = 0; round < 3 && best > 20; round += 1) {
    const startMs = performance.now()
    await publishAtOnce(world, await tenantOf(api), client, 100)
    sent += 2_000
    await receiver.received(sent)
    await world.drain()
    const seconds = (performance.now() - startMs) / 1_000
    console.log(`2000 deliveries in ${seconds.toFixed(1)} s: ${Math.round(2_000 / seconds)} per s`)
    best = Math.min(best, seconds)
  }
  expect(best).toBeLessThan(20)
  const [made] = await world.query<{ count: string }>(
    `select count(*) from attempt where tenant_id = $1 and outcome = 'DELIVERED'`,
    [await tenantOf(api)],
  )
  expect(made?.count, 'each was delivered by its first attempt').toBe(String(sent))
}, 120_000)
