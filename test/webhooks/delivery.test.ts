import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../jobs/until.ts'
import { startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, attemptsAt, createClients, deliveryTo } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

test('what is sent is signed so that both libraries and a plain HMAC accept it', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api, 3)
  await receiver.received(3)
  for (const { headers, body } of receiver.verified(endpoint.secret)) {
    const hmac = createHmac('sha256', endpoint.secret).update(body).digest('hex')
    expect(headers['x-ubos-signature']).toBe(hmac)
    expect(headers['content-type']).toBe('application/json')
  }
})

test('the bytes sent are the bytes stored, and what GET shows', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  await anEndpoint(api, receiver.url)
  const body = { name: 'Zoë “Ωmega” \\ / 😀', currency: 'JPY', metadata: { b: '1', a: '2' } }
  await api.post('/api/v1/clients', body, { 'x-correlation-id': 'order-4711' })
  await world.drain()

  const [request] = receiver.requests
  const id = request?.headers['webhook-id']
  const [stored] = await world.query<{ body: Buffer }>('select body from event where id = $1', [id])
  expect(request?.body.equals(stored?.body ?? Buffer.alloc(0))).toBe(true)
  const { position, ...shown } = (await api.get(`/api/v1/events/${id}`)).body
  expect(position).toBeGreaterThan(0)
  expect(JSON.stringify(shown)).toBe(String(request?.body))
  expect(shown).toMatchObject({ id, type: 'client.created', data: { name: body.name } })
  expect(request?.headers['x-correlation-id']).toBe('order-4711')
})

test('a delivery says what became of it, and its attempt what was answered', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(201, {}, 'thank you')
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  await world.drain()
  const delivery = await deliveryTo(api, endpoint)
  expect(delivery).toMatchObject({
    ...{ endpointId: endpoint.id, eventType: 'client.created', status: 'DELIVERED' },
    ...{ attemptCount: 1, nextAttemptAt: null, lastResponseStatus: 201 },
  })
  expect(delivery.deliveredAt).toBe(delivery.lastAttemptAt)
  const [attempt, ...others] = await attemptsAt(api, delivery)
  expect(attempt).toMatchObject({
    ...{ deliveryId: delivery.id, number: 1, outcome: 'DELIVERED', error: null },
    ...{ responseStatus: 201, responseBody: 'thank you' },
  })
  expect(others).toEqual([])
})

test('while a receiver has not answered, its delivery is being sent', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.behaves('hang')
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  await receiver.received(1)
  expect(await deliveryTo(api, endpoint)).toMatchObject({ status: 'SENDING', attemptCount: 0 })
  receiver.hangsUp()
  await until(async () => (await deliveryTo(api, endpoint)).status === 'PENDING')
})

test('two endpoints sign the same event with secrets of their own', async () => {
  const api = await world.newTenant()
  const [one, two] = [await aReceiver(), await aReceiver()]
  const [first, second] = [await anEndpoint(api, one.url), await anEndpoint(api, two.url)]
  await createClients(api)
  await Promise.all([one.received(1), two.received(1)])
  const [a, b] = [one.verified(first.secret)[0], two.verified(second.secret)[0]]
  expect(a?.headers['webhook-id']).toBe(b?.headers['webhook-id'])
  expect(() => one.verified(second.secret)).toThrow()
})

test('an endpoint whose URL was changed is told at the new one', async () => {
  const api = await world.newTenant()
  const [before, after] = [await aReceiver(), await aReceiver()]
  const endpoint = await anEndpoint(api, before.url)
  await api.patch(endpoint.path, { url: after.url })
  await createClients(api)
  await after.received(1)
  after.verified(endpoint.secret)
  await world.drain()
  expect(before.requests).toHaveLength(0)
})
