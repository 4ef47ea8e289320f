import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusedWith, startWorld, type World } from '../world.ts'
import {
  anEndpoint,
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

test('an event is promised once to each endpoint that wants it and to no other', async () => {
  const [api, neighbour] = [await world.newTenant(), await world.newTenant()]
  const [mine, theirs] = [await aReceiver(), await aReceiver()]
  const everything = await anEndpoint(api, mine.url, ['*'])
  const fitting = await anEndpoint(api, mine.url, ['client.updated', 'client.created'])
  await anEndpoint(api, mine.url, ['client.updated', 'payment.received'])
  await anEndpoint(neighbour, theirs.url, ['*'])

  const [clientId] = await createClients(api)
  await world.drain()
  const deliveries = await deliveriesOf(api, '&eventType=client.created')
  const told = deliveries.map((delivery) => delivery.endpointId)
  expect(told.sort()).toEqual([everything.id, fitting.id].sort())
  expect(new Set(deliveries.map((delivery) => delivery.eventId)).size).toBe(1)
  expect(deliveries.every((delivery) => delivery.status === 'DELIVERED')).toBe(true)
  expect(await deliveriesOf(neighbour, '&eventType=client.created')).toEqual([])
  expect(theirs.requests.some(({ body }) => body.includes(clientId ?? ''))).toBe(false)
})

test('an endpoint that was deleted is promised nothing more', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const [gone, kept] = [await anEndpoint(api, receiver.url), await anEndpoint(api, receiver.url)]
  await api.delete(gone.path)
  await createClients(api)
  await world.drain()
  expect((await deliveryTo(api, kept)).status).toBe('DELIVERED')
  expect(await deliveriesOf(api, `&endpointId=${gone.id}`)).toEqual([])
  expect(receiver.requests).toHaveLength(1)
})

test('what a disabled endpoint would be told is held for it from the start', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const [paused, open] = [await anEndpoint(api, receiver.url), await anEndpoint(api, receiver.url)]
  await api.patch(paused.path, { status: 'DISABLED' })
  await createClients(api)
  await world.drain()
  expect((await deliveryTo(api, open)).status).toBe('DELIVERED')
  const held = await deliveryTo(api, paused)
  expect(held).toMatchObject({ status: 'HELD', attemptCount: 0, nextAttemptAt: null })
  expect(await attemptsAt(api, held)).toEqual([])
  expect(receiver.requests).toHaveLength(1)
})

test('a test event reaches its endpoint, whatever that is told otherwise, and nobody else', async () => {
  const api = await world.newTenant()
  const [tested, everything] = [await aReceiver(), await aReceiver()]
  const endpoint = await anEndpoint(api, tested.url, ['payment.received'])
  await anEndpoint(api, everything.url, ['*'])
  const event = await api.post(`${endpoint.path}/test-events`)
  expect(event).toMatchObject({ status: 202, body: { type: 'webhook_endpoint.tested' } })
  await world.drain()

  expect((await deliveryTo(api, endpoint, 'webhook_endpoint.tested')).status).toBe('DELIVERED')
  const [request, ...others] = tested.verified(endpoint.secret)
  expect(JSON.parse(String(request?.body))).toMatchObject({ id: event.body.id })
  expect(others).toEqual([])
  const seen = everything.requests.map(({ body }) => JSON.parse(String(body)).type)
  expect(seen).not.toContain('webhook_endpoint.tested')
})

test('the example of a type can be sent to an endpoint, and bears that nothing of it has happened', async () => {
  const api = await world.newTenant()
  const [tested, everything] = [await aReceiver(), await aReceiver()]
  const endpoint = await anEndpoint(api, tested.url, ['payment.received'])
  await anEndpoint(api, everything.url, ['*'])
  const types = (await api.get('/api/v1/event-types?limit=200')).body.data
  for (const { type } of types) {
    const { status, body } = await api.post(`${endpoint.path}/test-events`, { eventType: type })
    expect({ status, type: body.type }).toEqual({ status: 202, type })
    expect(body.isTest).toBe(type === 'webhook_endpoint.tested' ? undefined : true)
  }
  await world.drain()
  const sent = tested.verified(endpoint.secret).map(({ body }) => JSON.parse(String(body)))
  expect(new Set(sent.map(({ type }) => type)).size).toBe(types.length)
  for (const event of sent.filter(({ isTest }) => !isTest)) {
    expect(event.type).toBe('webhook_endpoint.tested')
  }
  const seen = everything.requests.map(({ body }) => JSON.parse(String(body)))
  expect(seen.filter(({ isTest }) => isTest)).toEqual([])
  const unknown = await api.post(`${endpoint.path}/test-events`, { eventType: 'client.eaten' })
  expect(refusedWith(unknown, 'invalid_request').errors[0].pointer).toBe('/eventType')
}, 60_000)

test('a disabled endpoint takes no test event', async () => {
  const api = await world.newTenant()
  const endpoint = await anEndpoint(api, (await aReceiver()).url)
  await api.patch(endpoint.path, { status: 'DISABLED' })
  refusedWith(await api.post(`${endpoint.path}/test-events`), 'endpoint_disabled')
})

test('a tenant has at most a hundred endpoints, also when it asks for them all at once', async () => {
  const api = await world.newTenant()
  const { url } = await aReceiver()
  const make = () => api.post('/api/v1/webhook-endpoints', { url, eventTypes: ['client.created'] })
  // No more at a time than a tenant may have calls.
  for (const length of [50, 45]) await Promise.all(Array.from({ length }, make))
  const last = await Promise.all(Array.from({ length: 10 }, make))
  expect(last.filter(({ status }) => status === 201)).toHaveLength(5)
  for (const reply of last.filter(({ status }) => status !== 201))
    refusedWith(reply, 'limit_reached')
})
