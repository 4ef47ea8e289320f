import { afterAll, beforeAll, expect, test } from 'vitest'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, createClients } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

test('an endpoint that hangs over a backlog delays neither its neighbours nor other tenants', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const [hanging, healthy, elsewhere] = [await aReceiver(), await aReceiver(), await aReceiver()]
  hanging.behaves('hang')
  await anEndpoint(api, hanging.url)
  await anEndpoint(api, healthy.url)
  await anEndpoint(other, elsewhere.url)
  const client = await aClient(api)
  await hanging.received(1)

  const startMs = performance.now()
  await publishAtOnce(world, await tenantOf(api), client, 300)
  await publishAtOnce(world, await tenantOf(other), client, 100)
  await Promise.all([healthy.received(301), elsewhere.received(100)])
  const tookMs = performance.now() - startMs
  console.log(`400 deliveries beside a hanging endpoint: ${Math.round(tookMs)} ms`)
  expect(tookMs).toBeLessThan(6_000)
  expect(hanging.requests.length).toBeLessThanOrEqual(10)
})

test('a tenant all of whose endpoints hang leaves room for the others', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const [hanging, healthy] = [await aReceiver(), await aReceiver()]
  hanging.behaves('hang')
  for (let count = 0; count < 70; count += 1) await anEndpoint(api, hanging.url)
  const endpoint = await anEndpoint(other, healthy.url)
  await publishAtOnce(world, await tenantOf(api), await aClient(api), 20)
  // Seventy endpoints, ten at once each: 700 would be under way if nobody minded.
  await until(() => hanging.requests.length >= 60)

  const waitsMs: number[] = []
  for (let count = 1; count <= 20; count += 1) {
    const startMs = performance.now()
    await createClients(other)
    await healthy.received(count)
    waitsMs.push(performance.now() - startMs)
  }
  healthy.verified(endpoint.secret)
  const worstMs = Math.max(...waitsMs)
  console.log(`slowest delivery beside 70 hanging endpoints: ${Math.round(worstMs)} ms`)
  expect(worstMs).toBeLessThan(2_000)
  expect(hanging.requests.length).toBeLessThanOrEqual(512)
})
