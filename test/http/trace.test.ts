import { afterAll, beforeAll, expect, test } from 'vitest'
import { routes } from '#generated/routes.ts'
import { startReceiver } from '../receiver.ts'
import { startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const client = { name: 'Ada', currency: 'EUR' }

test('a trace comes back to its caller and goes on with the webhook that follows', async () => {
  const receiver = await startReceiver()
  const api = await world.newTenant()
  const eventTypes = ['client.created']
  await api.post('/api/v1/webhook-endpoints', { url: receiver.url, eventTypes })
  const traced = await api.post('/api/v1/clients', client, { traceparent })
  const plain = await api.post('/api/v1/clients', client)
  await world.drain()
  expect(traced.headers.get('traceparent')).toBe(traceparent)
  expect(plain.headers.get('traceparent')).toBeNull()
  const sent = receiver.requests.map(({ headers, body }) => [
    JSON.parse(body.toString()).data.id,
    headers.traceparent,
  ])
  expect(Object.fromEntries(sent)).toEqual({
    [traced.body.id]: traceparent,
    [plain.body.id]: undefined,
  })
  await receiver.stop()
})

test('refusals carry the trace too', async () => {
  for (const path of ['/api/v1/nowhere', '/api/v1/clients/1', '/api/v1/me?no=1']) {
    const reply = await world.api.get(path, { traceparent })
    expect(reply.status).toBeGreaterThanOrEqual(400)
    expect(reply.headers.get('traceparent')).toBe(traceparent)
  }
})

test.for([
  '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
  '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01',
  '00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01',
  '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra',
  'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  'nonsense',
  '',
])('what is no trace (%j) is ignored, and not repeated', async (broken) => {
  const reply = await world.api.get('/api/v1/me', { traceparent: broken })
  expect(reply.status).toBe(200)
  expect(reply.headers.get('traceparent')).toBeNull()
})

test('every operation of the API takes the caller’s name for the call, and its trace', () => {
  for (const { operationId, path, parameters } of Object.values(routes)) {
    if (!path.startsWith('/api/')) continue
    const headers = parameters.filter((parameter) => parameter.in === 'header')
    const names = headers.map(({ key }) => key)
    expect(names, operationId).toEqual(expect.arrayContaining(['x-correlation-id', 'traceparent']))
  }
})
