import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import {
  type AnEndpoint,
  anEndpoint,
  aPatientReceiver,
  aReceiver,
  attemptsAt,
  createClients,
  deliveriesOf,
  deliveryTo,
} from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const statusesOf = async (api: Api, { id }: AnEndpoint) => {
  const deliveries = await deliveriesOf(api, `&endpointId=${id}&eventType=client.created`)
  return Object.groupBy(deliveries, ({ status }) => status)
}
const disable = (api: Api, { path }: AnEndpoint) => api.patch(path, { status: 'DISABLED' })
const enable = (api: Api, { path }: AnEndpoint) => api.patch(path, { status: 'ENABLED' })

test('what is held while an endpoint is disabled goes out once it is enabled', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  await disable(api, endpoint)
  await createClients(api, 30)
  await world.drain()
  expect((await statusesOf(api, endpoint)).HELD).toHaveLength(30)
  expect(receiver.requests).toEqual([])

  await enable(api, endpoint)
  await receiver.received(30)
  await world.drain()
  expect((await statusesOf(api, endpoint)).DELIVERED).toHaveLength(30)
  expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(30)
})

test('a retry that waited when its endpoint was disabled comes at once when it is enabled', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(500)
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  await until(async () => (await deliveryTo(api, endpoint)).attemptCount === 1)
  await disable(api, endpoint)
  expect(await deliveryTo(api, endpoint)).toMatchObject({ status: 'HELD', nextAttemptAt: null })
  receiver.answers(200)
  await enable(api, endpoint)
  await until(async () => (await deliveryTo(api, endpoint)).status === 'DELIVERED', 3_000)
  expect((await deliveryTo(api, endpoint)).attemptCount).toBe(2)
})

test('an endpoint that answers 410 hears no more, is disabled at once, and others learn of it', async () => {
  const api = await world.newTenant()
  const [gone, witness] = [await aReceiver(), await aReceiver()]
  gone.answers(410)
  const endpoint = await anEndpoint(api, gone.url)
  const others = await anEndpoint(api, witness.url, ['webhook_endpoint.disabled', 'client.created'])
  // The first disabling is ours, so that thirty deliveries become due in one moment.
  await disable(api, endpoint)
  await createClients(api, 30)
  await world.drain()
  await enable(api, endpoint)

  const isGone = async () => (await api.get(endpoint.path)).body.disabledReason === 'GONE'
  await until(isGone)
  await world.drain()
  const requests = gone.requests.length
  expect(requests).toBeLessThanOrEqual(10)
  const { EXHAUSTED = [], HELD = [], ...rest } = await statusesOf(api, endpoint)
  expect([EXHAUSTED.length, HELD.length]).toEqual([requests, 30 - requests])
  expect(rest).toEqual({})
  const [attempt] = await attemptsAt(api, EXHAUSTED[0] ?? { id: '' })
  expect(attempt).toMatchObject({ outcome: 'GONE', responseStatus: 410, number: 1 })

  await createClients(api)
  await world.drain()
  expect(gone.requests).toHaveLength(requests)
  const told = witness
    .verified(others.secret)
    .map(({ body }) => JSON.parse(String(body)))
    .filter(({ type, data }) => type.endsWith('.disabled') && data.disabledReason === 'GONE')
  expect(told).toMatchObject([{ data: { id: endpoint.id, status: 'DISABLED' } }])
})

test('until the endpoint that answered 410 is disabled, nothing more is sent to it', async () => {
  const api = await world.newTenant()
  const [receiver, canary] = [await aPatientReceiver(), await aReceiver()]
  const endpoint = await anEndpoint(api, receiver.url)
  await disable(api, endpoint)
  await createClients(api, 30)
  await world.drain()
  await enable(api, endpoint)
  await until(() => receiver.waiting.length === 10)
  // Somebody else holds the endpoint, so that disabling it takes its time.
  const holder = await world.ctx.db.worker.connect()
  await holder.query('begin')
  await holder.query('select from webhook_endpoint where id = $1 for update', [endpoint.id])
  for (let count = 0; count < 10; count += 1) receiver.answer(410)
  await anEndpoint(api, canary.url, ['webhook_endpoint.created'])
  await canary.received(1)
  await anEndpoint(api, canary.url, ['webhook_endpoint.created'])
  await canary.received(3)
  expect(receiver.waiting).toHaveLength(0)
  await holder.query('commit')
  holder.release()
  await until(async () => (await api.get(endpoint.path)).body.disabledReason === 'GONE')
  await world.drain()
  expect(receiver.waiting).toHaveLength(0)
  expect((await statusesOf(api, endpoint)).HELD).toHaveLength(20)
})

test('however a disabling and an event cross, the event is delivered in the end, once', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  const rounds = 25
  for (let round = 0; round < rounds; round += 1) {
    await Promise.all([disable(api, endpoint), createClients(api, 2)])
    await world.drain()
    const { HELD = [], DELIVERED = [], ...rest } = await statusesOf(api, endpoint)
    expect(rest).toEqual({})
    expect(HELD.length + DELIVERED.length).toBe(2 * (round + 1))
    await Promise.all([enable(api, endpoint), createClients(api, 0)])
    await world.drain()
  }
  expect((await statusesOf(api, endpoint)).DELIVERED).toHaveLength(2 * rounds)
  expect(receiver.requests).toHaveLength(2 * rounds)
})

test('a delivered delivery can be sent again, but not while its endpoint is disabled', async () => {
  const api = await world.newTenant()
  // It answers when it is told to, so that nothing is delivered between two requests.
  const receiver = await aPatientReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  const ids: unknown[] = []
  async function deliver(): Promise<void> {
    await until(() => receiver.waiting.length === 1)
    ids.push(receiver.waiting[0]?.req.headers['webhook-id'])
    receiver.answer(200)
    await world.drain()
  }
  await createClients(api)
  await deliver()
  const delivered = await deliveryTo(api, endpoint)
  const path = `/api/v1/webhook-deliveries/${delivered.id}/redeliveries`
  await disable(api, endpoint)
  refusedWith(await api.post(path), 'endpoint_disabled')
  expect(await deliveryTo(api, endpoint)).toEqual(delivered)

  await enable(api, endpoint)
  const replies = await Promise.all([api.post(path), api.post(path), api.post(path)])
  expect(replies.map(({ status }) => status).sort()).toEqual([202, 409, 409])
  await deliver()
  const again = await deliveryTo(api, endpoint)
  expect(again).toMatchObject({ status: 'DELIVERED', attemptCount: 2 })
  expect(ids).toEqual([delivered.eventId, delivered.eventId])
})

test('what waited for an endpoint, or was held for it, is cancelled when it is deleted', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(500)
  const [waiting, held] = [await anEndpoint(api, receiver.url), await anEndpoint(api, receiver.url)]
  await disable(api, held)
  await createClients(api, 3)
  await until(async () => (await statusesOf(api, waiting)).PENDING?.length === 3)
  await until(() => receiver.requests.length === 3)
  await world.drain()
  for (const endpoint of [waiting, held]) {
    expect((await api.delete(endpoint.path)).status).toBe(204)
    expect((await statusesOf(api, endpoint)).CANCELLED).toHaveLength(3)
    const [delivery] = await deliveriesOf(api, `&endpointId=${endpoint.id}`)
    expect(delivery?.nextAttemptAt).toBeNull()
    const again = `/api/v1/webhook-deliveries/${delivery?.id}/redeliveries`
    refusedWith(await api.post(again), 'invalid_state')
  }
  await world.drain()
  expect((await statusesOf(api, waiting)).CANCELLED).toHaveLength(3)
  world.step(24 * 60 * 60 * 1_000)
  const [left] = await world.query(
    'select count(*)::int as count from delivery_due where endpoint_id in ($1, $2)',
    [waiting.id, held.id],
  )
  expect(left).toEqual({ count: 0 })
  expect(receiver.requests).toHaveLength(3)
})
