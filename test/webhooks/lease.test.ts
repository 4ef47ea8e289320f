import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../jobs/until.ts'
import { type Api, startWorld, type World } from '../world.ts'
import {
  anEndpoint,
  anotherWorker,
  aPatientReceiver,
  aPresence,
  aReceiver,
  attempted,
  attemptsAt,
  createClients,
  deliveryTo,
} from './fixture.ts'

// No worker runs unless a test starts one, so that each test knows who holds which lease.
let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

/** Changes the lease of an endpoint's delivery behind everybody's back. */
async function lease(endpoint: { id: string }, token: string, endsInSeconds: number) {
  await world.query(
    `update delivery_due set lease_token = $2,
      leased_until = clock_timestamp() + make_interval(secs => $3) where endpoint_id = $1`,
    [endpoint.id, token, endsInSeconds],
  )
}

async function outcomesOf(api: Api, endpoint: { id: string }) {
  const attempts = await attemptsAt(api, await deliveryTo(api, endpoint))
  return attempts.map(({ number, outcome }) => [number, outcome])
}

test('what a dead worker held is delivered by another, and its attempt is on record', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  await api.patch(endpoint.path, { status: 'DISABLED' })
  await createClients(api)
  anotherWorker(world)
  await until(async () => (await deliveryTo(api, endpoint)).status === 'HELD')
  await lease(endpoint, (await aPresence(world)).token, 0)
  await api.patch(endpoint.path, { status: 'ENABLED' })

  await until(async () => (await deliveryTo(api, endpoint)).status === 'DELIVERED')
  expect(await outcomesOf(api, endpoint)).toEqual([
    [1, 'INTERRUPTED'],
    [2, 'DELIVERED'],
  ])
  expect((await deliveryTo(api, endpoint)).attemptCount).toBe(2)
  expect(receiver.requests).toHaveLength(1)
})

test('what a worker was sending when it was killed is due again within seconds', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  await api.patch(endpoint.path, { status: 'DISABLED' })
  await createClients(api)
  anotherWorker(world)
  await until(async () => (await deliveryTo(api, endpoint)).status === 'HELD')
  const killed = await aPresence(world)
  await lease(endpoint, killed.token, 60)
  await api.patch(endpoint.path, { status: 'ENABLED' })
  await killed.leaves()
  await attempted(world, endpoint, 2, 6_000)
  const delivery = await deliveryTo(api, endpoint)
  const [interrupted] = await attemptsAt(api, delivery)
  expect(interrupted?.outcome).toBe('INTERRUPTED')
  expect(Date.parse(interrupted?.startedAt ?? '')).toBeGreaterThanOrEqual(
    Date.parse(delivery.createdAt),
  )
})

test('a lease that has not ended is left to its holder', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const [held, free] = [await anEndpoint(api, receiver.url), await anEndpoint(api, receiver.url)]
  await api.patch(held.path, { status: 'DISABLED' })
  await createClients(api)
  anotherWorker(world)
  await until(async () => (await deliveryTo(api, free)).status === 'DELIVERED')
  const { token } = await aPresence(world)
  await lease(held, token, 60)
  await api.patch(held.path, { status: 'ENABLED' })
  await createClients(api)
  await receiver.received(3)
  const [row] = await world.query('select lease_token from delivery_due where endpoint_id = $1', [
    held.id,
  ])
  expect(row).toEqual({ lease_token: token })
})

test('an answer to a lease that was lost is not recorded over the newer one', async () => {
  const api = await world.newTenant()
  const receiver = await aPatientReceiver()
  const [endpoint, canary] = [await anEndpoint(api, receiver.url), await aReceiver()]
  anotherWorker(world)
  await createClients(api)
  await until(() => receiver.waiting.length === 1)
  const { token } = await aPresence(world)
  await lease(endpoint, token, 60)
  receiver.answer(200)
  // Outcomes are recorded in the order in which they come: after the canary's, ours was refused.
  const other = await anEndpoint(api, canary.url, ['client.deleted'])
  await api.delete(`/api/v1/clients/${(await createClients(api))[0]}`)
  await until(async () => (await deliveryTo(api, other, 'client.deleted')).status === 'DELIVERED')
  const [first] = await world.query<{ lease_token: string; attempts: number }>(
    `select lease_token, (select count(*)::int from attempt
        where attempt.delivery_id = due.delivery_id) as attempts
      from delivery_due as due where endpoint_id = $1 order by delivery_id limit 1`,
    [endpoint.id],
  )
  expect(first).toEqual({ lease_token: token, attempts: 0 })
})

test('an answer to a lease that its own worker took anew is not recorded either', async () => {
  const api = await world.newTenant()
  const receiver = await aPatientReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  anotherWorker(world)
  await createClients(api)
  await until(() => receiver.waiting.length === 1)
  await world.query(
    'update delivery_due set leased_until = clock_timestamp() where endpoint_id = $1',
    [endpoint.id],
  )
  await until(() => receiver.waiting.length === 2)
  receiver.answer(500)
  const canary = await aReceiver()
  const type = 'webhook_endpoint.created'
  const other = await anEndpoint(api, canary.url, [type])
  await until(async () => (await deliveryTo(api, other, type)).status === 'DELIVERED')
  expect(await deliveryTo(api, endpoint)).toMatchObject({ status: 'SENDING', attemptCount: 0 })
  receiver.answer(200)
  await until(async () => (await deliveryTo(api, endpoint)).status === 'DELIVERED')
  expect(await outcomesOf(api, endpoint)).toEqual([
    [1, 'INTERRUPTED'],
    [2, 'DELIVERED'],
  ])
})

test('however many leases end over one delivery, each is on record as an attempt', async () => {
  const api = await world.newTenant()
  const receiver = await aPatientReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  anotherWorker(world)
  await createClients(api)
  for (const sent of [1, 2]) {
    await until(() => receiver.waiting.length === sent)
    await world.query(
      'update delivery_due set leased_until = clock_timestamp() where endpoint_id = $1',
      [endpoint.id],
    )
  }
  await until(() => receiver.waiting.length === 3)
  for (const status of [500, 500, 200]) receiver.answer(status)
  await until(async () => (await deliveryTo(api, endpoint)).status === 'DELIVERED')
  expect(await outcomesOf(api, endpoint)).toEqual([
    [1, 'INTERRUPTED'],
    [2, 'INTERRUPTED'],
    [3, 'DELIVERED'],
  ])
})

test('a worker that stops gives back what has no answer, and no attempt is spent on it', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.behaves('hang')
  const endpoint = await anEndpoint(api, receiver.url)
  const first = anotherWorker(world)
  await createClients(api, 5)
  await receiver.received(5)
  const startMs = performance.now()
  await first.worker.stop(50)
  expect(performance.now() - startMs).toBeLessThan(2_000)
  await until(() => receiver.connections.open === 0, 2_000)
  const rows = await world.query(
    `select distinct lease_token, attempt_count, retry_count from delivery_due
      where endpoint_id = $1`,
    [endpoint.id],
  )
  expect(rows).toEqual([{ lease_token: null, attempt_count: 0, retry_count: 0 }])

  receiver.answers(204)
  anotherWorker(world)
  await receiver.received(10)
  await until(async () => {
    const [row] = await world.query<{ attempts: number[] | null }>(
      `select array_agg(attempt_count) as attempts from webhook_delivery
        where endpoint_id = $1 and status = 'DELIVERED'`,
      [endpoint.id],
    )
    return String(row?.attempts) === '1,1,1,1,1'
  })
})

test('a worker that stops records the answers that come while it drains', async () => {
  const api = await world.newTenant()
  const receiver = await aPatientReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  const worker = anotherWorker(world)
  await createClients(api)
  await until(() => receiver.waiting.length === 1)
  const stopped = worker.stop(10_000)
  receiver.answer(204)
  await stopped
  expect((await deliveryTo(api, endpoint)).status).toBe('DELIVERED')
})

test('no endpoint gets more than ten requests at once, however many workers there are', async () => {
  const api = await world.newTenant()
  const receiver = await aPatientReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api, 40)
  anotherWorker(world)
  anotherWorker(world)
  let atOnceMost = 0
  for (let left = 40; left > 0; left -= 1) {
    await until(() => receiver.waiting.length === Math.min(10, left))
    atOnceMost = Math.max(atOnceMost, receiver.waiting.length)
    receiver.answer(204)
  }
  expect(atOnceMost).toBe(10)
  await until(async () => {
    const [row] = await world.query<{ count: number }>(
      `select count(*)::int as count from webhook_delivery
        where endpoint_id = $1 and status = 'DELIVERED' and attempt_count = 1`,
      [endpoint.id],
    )
    return row?.count === 40
  })
})
