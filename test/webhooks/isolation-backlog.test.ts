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

const events = 100
const endpoints = { healthy: 12, hanging: 8 }

test('a tenant with a backlog over endpoints of which some hang holds nobody else up, and nothing of it is lost', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const [hanging, healthy, elsewhere] = [await aReceiver(), await aReceiver(), await aReceiver()]
  hanging.behaves('hang')
  const silent: { id: string; path: string }[] = []
  const well: string[] = []
  for (let count = 0; count < endpoints.healthy; count += 1) {
    well.push((await anEndpoint(api, healthy.url)).id)
  }
  for (let count = 0; count < endpoints.hanging; count += 1) {
    silent.push(await anEndpoint(api, hanging.url))
  }
  const theirs = await anEndpoint(other, elsewhere.url)
  const [tenant, client] = [await tenantOf(api), await aClient(api)]
  await publishAtOnce(world, tenant, client, events)
  await until(() => hanging.requests.length >= endpoints.hanging)

  const waitsMs: number[] = []
  for (let count = 1; count <= 15; count += 1) {
    const startMs = performance.now()
    await createClients(other)
    await elsewhere.received(count)
    waitsMs.push(performance.now() - startMs)
  }
  const [middleMs = 0] = waitsMs.toSorted((a, b) => a - b).slice(7)
  console.log(`beside a backlog of ${events * 20}: ${Math.round(middleMs)} ms in the middle`)
  expect(middleMs).toBeLessThan(2_000)
  elsewhere.verified(theirs.secret)

  // The client that the events are about was an event, too.
  const made = (events + 1) * (endpoints.healthy + endpoints.hanging)
  await until(() => healthy.requests.length >= (events + 1) * endpoints.healthy, 60_000)
  await api.delete(silent[0]?.path ?? '')
  await until(async () => (await statuses()).CANCELLED > 0)

  async function statuses() {
    const rows = await world.query<{ status: string; count: number; due: number }>(
      `select delivery.status, count(*)::int as count, count(due.delivery_id)::int as due
        from webhook_delivery as delivery left join delivery_due as due
          on due.tenant_id = delivery.tenant_id and due.delivery_id = delivery.id
        where delivery.tenant_id = $1 and event_type = 'client.created' group by 1`,
      [tenant],
    )
    const count = (status: string) => rows.find((row) => row.status === status)?.count ?? 0
    const [DELIVERED, PENDING] = [count('DELIVERED'), count('PENDING')]
    const due = rows.reduce((sum, row) => sum + row.due, 0)
    return { DELIVERED, PENDING, CANCELLED: count('CANCELLED'), due }
  }
  await until(async () => (await statuses()).DELIVERED >= (events + 1) * endpoints.healthy)
  const { DELIVERED, PENDING, CANCELLED, due } = await statuses()
  expect(DELIVERED + CANCELLED + PENDING, 'every promise is delivered, cancelled or kept').toBe(
    made,
  )
  expect(due, 'what is pending, and only that, is still to be done').toBe(PENDING)
  expect(DELIVERED).toBe((events + 1) * endpoints.healthy)
  expect(healthy.requests.length, 'nothing is delivered unheard').toBeGreaterThanOrEqual(DELIVERED)
  const [tried] = await world.query<{ count: number }>(
    `select count(*)::int as count from attempt
      join webhook_delivery as delivery
        on delivery.tenant_id = attempt.tenant_id and delivery.id = attempt.delivery_id
      where attempt.tenant_id = $1 and delivery.endpoint_id = any($2)`,
    [tenant, well],
  )
  expect(healthy.requests.length, 'nothing is sent unrecorded').toBeLessThanOrEqual(
    tried?.count ?? 0,
  )
})

test('however much is due at once, no claim takes so much that what becomes due meanwhile waits for it', async () => {
  const api = await world.newTenant()
  const hanging = await aReceiver()
  hanging.behaves('hang')
  for (let count = 0; count < 25; count += 1) await anEndpoint(api, hanging.url)
  const [tenant, client] = [await tenantOf(api), await aClient(api)]
  await publishAtOnce(world, tenant, client, 10)
  const claims = () =>
    world.query<{ size: number }>(
      `select count(*)::int as size from delivery_due
       where tenant_id = $1 and lease_token is not null group by lease_token`,
      [tenant],
    )
  await until(async () => (await claims()).reduce((sum, { size }) => sum + size, 0) >= 200)
  expect(Math.max(...(await claims()).map(({ size }) => size))).toBeLessThanOrEqual(100)
})
