import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusedWith, startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, createClients, deliveriesOf } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const path = '/api/v1/webhook-deliveries'

test('an event is delivered to just these endpoints, past what they subscribed to, once for each asking', async () => {
  const api = await world.newTenant()
  const [asked, other] = [await aReceiver(), await aReceiver()]
  const endpoint = await anEndpoint(api, asked.url, ['payment.received'])
  await anEndpoint(api, other.url, ['payment.received'])
  await createClients(api)
  await world.drain()
  const eventId = (await api.get('/api/v1/events?eventType=client.created')).body.data[0].id
  const request = { eventId, endpointIds: [endpoint.id], options: { priority: 'HIGH' } }
  const key = { 'idempotency-key': 'deliver-it-now' }
  const reply = await api.post(path, request, key)
  await api.post(path, request, key)
  expect(reply).toMatchObject({
    status: 202,
    body: {
      deliveries: [{ endpointId: endpoint.id, eventId, status: 'PENDING', attemptCount: 0 }],
    },
  })
  await world.drain()
  const [first, ...others] = asked.verified(endpoint.secret)
  expect(first?.headers['webhook-id']).toBe(eventId)
  expect(JSON.parse(String(first?.body))).toMatchObject({ id: eventId, type: 'client.created' })
  expect([...others, ...other.requests]).toEqual([])
  expect(await deliveriesOf(api, `&endpointId=${endpoint.id}`)).toMatchObject([
    { id: reply.body.deliveries[0].id, status: 'DELIVERED', attemptCount: 1 },
  ])
})

test('one of high priority is due before all that waits for its endpoint, another one behind', async () => {
  // Without a worker everything waits.
  const still = await startWorld({ parts: ['api'] })
  const receiver = await aReceiver()
  const [busy, idle] = [
    await anEndpoint(still.api, receiver.url),
    await anEndpoint(still.api, receiver.url),
  ]
  await createClients(still.api)
  const eventId = (await still.api.get('/api/v1/events?eventType=client.created')).body.data[0].id
  const ask = async (options: object, endpointIds = [busy.id]) => {
    const { body } = await still.api.post(path, { eventId, endpointIds, options })
    return body.deliveries.map((one: { nextAttemptAt: string }) => Date.parse(one.nextAttemptAt))
  }
  const waiting = [...(await ask({})), ...(await ask({ priority: 'NORMAL' }))]
  const [urgent, elsewhere] = await ask({ priority: 'HIGH' }, [busy.id, idle.id])
  const [more] = await ask({ priority: 'HIGH' })
  const [last] = await ask({})
  expect(urgent).toBeLessThan(Math.min(...waiting))
  expect(more).toBeLessThan(urgent)
  expect(last).toBeGreaterThanOrEqual(Math.max(...waiting))
  expect(elsewhere).toBeGreaterThanOrEqual(Math.max(...waiting))
  await still.stop()
})

test('what is not there, is another’s, or too old is refused, and it says which', async () => {
  const [api, neighbour] = [await world.newTenant(), await world.newTenant()]
  const { url } = await aReceiver()
  const [own, theirs] = [await anEndpoint(api, url), await anEndpoint(neighbour, url)]
  await createClients(api)
  await world.drain()
  const eventId = (await api.get('/api/v1/events?eventType=client.created')).body.data[0].id
  const ask = (body: object) => api.post(path, { eventId, endpointIds: [own.id], ...body })
  const pointerOf = (reply: Awaited<ReturnType<typeof ask>>) =>
    refusedWith(reply, 'reference_unknown').errors[0].pointer
  expect(pointerOf(await ask({ endpointIds: [own.id, theirs.id] }))).toBe('/endpointIds/1')
  expect(pointerOf(await ask({ eventId: `evt_${'0'.repeat(26)}` }))).toBe('/eventId')
  expect(await deliveriesOf(api, `&endpointId=${own.id}&status=PENDING`)).toEqual([])
  world.step(29 * 24 * 60 * 60 * 1_000)
  refusedWith(await ask({}), 'invalid_state')
})
