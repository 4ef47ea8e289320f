import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

const v1 = 'application/vnd.ubos.v1+json'

test('a payment as it is printed in the guide is taken, and taken once', async () => {
  const body = '{\n  "amount": 100.00,\n  "currency": "USD"\n}\n'
  const headers = { 'idempotency-key': '123e4567-e89b-12d3-a456-426614174000' }
  const made = await api.post('/api/payments', body, headers)
  expect(made.status).toBe(201)
  expect(made.body).toMatchObject({ amount: 100, currency: 'USD' })
  const again = await api.post('/api/payments', body, headers)
  expect(again.headers.get('idempotent-replayed')).toBe('true')
  expect(again.body).toEqual(made.body)
  // The path with its version is another name of the same request.
  const versioned = await api.post('/api/v1/payments', body, headers)
  expect(versioned.body).toEqual(made.body)
  expect((await api.get('/api/v1/payments')).body.data).toHaveLength(1)
})

test('without a version every method finds its path, and the way back has one', async () => {
  const made = await api.post('/api/clients', { name: 'Ada', currency: 'EUR' })
  expect(made.headers.get('location')).toBe(`/api/v1/clients/${made.body.id}`)
  const path = `/api/clients/${made.body.id}`
  expect((await api.get(path)).body).toEqual(made.body)
  expect((await api.patch(path, { name: 'Grace' })).body.name).toBe('Grace')
  expect((await api.delete(path)).status).toBe(204)
  const page = await api.get('/api/events?limit=1')
  expect(page.headers.get('link')).toContain('</api/v1/events?limit=1&cursor=')
  refusedWith(await api.get('/api/nothing'), 'route_not_found')
})

test('who asks for the version by its media type is answered under that name', async () => {
  for (const path of ['/api/clients', '/api/v1/clients']) {
    const listed = await api.get(path, { accept: v1 })
    expect(listed.headers.get('content-type')).toBe(`${v1}; charset=utf-8`)
    expect(listed.body.data).toEqual([])
  }
  const headers = { accept: v1, 'content-type': v1, 'idempotency-key': 'v-1' }
  for (const time of [1, 2]) {
    const made = await api.post('/api/clients', { name: 'Ada', currency: 'EUR' }, headers)
    expect(made.status, `time ${time}`).toBe(201)
    expect(made.headers.get('content-type')).toBe(`${v1}; charset=utf-8`)
  }
  const plain = await api.get('/api/clients', { accept: `${v1};q=0.5, application/json` })
  expect(plain.headers.get('content-type')).toBe('application/json; charset=utf-8')
})

test('a version that does not exist is refused, in the path, in Accept and in Content-Type', async () => {
  refusedWith(await api.get('/api/v2/clients'), 'route_not_found')
  const accept = 'application/vnd.ubos.v2+json'
  refusedWith(await api.get('/api/clients', { accept }), 'not_acceptable')
  refusedWith(await api.get('/api/v1/clients', { accept }), 'not_acceptable')
  const body = { name: 'Ada', currency: 'EUR' }
  const taken = await api.post('/api/clients', body, { 'content-type': accept })
  refusedWith(taken, 'unsupported_media_type')
})
