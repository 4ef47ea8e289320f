import { afterAll, beforeAll, expect, test } from 'vitest'
import { startReceiver } from '../receiver.ts'
import { refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const ada = { name: 'Ada Ltd', currency: 'GBP', email: 'ada@example.com' }

test('a client that was created is told to an endpoint, signed', async () => {
  const { api } = world
  const receiver = await startReceiver()
  const endpoint = await api.post('/api/v1/webhook-endpoints', {
    url: receiver.url,
    eventTypes: ['client.created'],
  })
  expect(endpoint.status).toBe(201)

  const created = await api.post('/api/v1/clients', ada)
  expect(created.status).toBe(201)
  await receiver.received(1)
  const [request] = receiver.verified(endpoint.body.secret)
  expect(JSON.parse(String(request?.body))).toMatchObject({
    type: 'client.created',
    data: created.body,
  })
  await world.drain()
  await receiver.stop()
})

test('a client is found, changed under its ETag, listed and deleted', async () => {
  const api = await world.newTenant()
  const created = await api.post('/api/v1/clients', { ...ada, externalId: 'crm-1' })
  const path = `/api/v1/clients/${created.body.id}`
  expect(created.headers.get('location')).toBe(path)
  expect(created.headers.get('etag')).toBe('"1"')
  expect((await api.get(path)).body).toEqual(created.body)

  const patched = await api.patch(path, { phone: '1', email: null }, { 'if-match': '"1"' })
  expect(patched.body).toMatchObject({ phone: '1', email: null, revision: 2 })
  refusedWith(await api.patch(path, { phone: '2' }, { 'if-match': '"1"' }), 'precondition_failed')
  expect((await api.patch(path, {})).body.revision).toBe(2)

  const again = await api.post('/api/v1/clients', { ...ada, externalId: 'crm-1' })
  expect(refusedWith(again, 'external_id_taken').errors[0].pointer).toBe('/externalId')

  expect((await api.get('/api/v1/clients?externalId=crm-1')).body.data).toHaveLength(1)
  expect((await api.delete(path)).status).toBe(204)
  refusedWith(await api.get(path), 'not_found')
  expect((await api.get('/api/v1/clients')).body.data).toHaveLength(0)
  expect((await api.post('/api/v1/clients', { ...ada, externalId: 'crm-1' })).status).toBe(201)
})
