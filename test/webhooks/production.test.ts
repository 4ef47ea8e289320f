import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusedWith, startWorld, type World } from '../world.ts'
import {
  anEndpoint,
  aReceiver,
  attempted,
  attemptsAt,
  createClients,
  deliveryTo,
} from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ env: { UBOS_PROFILE: 'production' } })
})
afterAll(() => world.stop())

const publicUrl = 'https://hooks.example.com/ubos'

test.each([
  'http://127.0.0.1:8080/hook',
  'https://127.0.0.1:8443/hook',
  'https://localhost/hook',
  'https://[::1]/hook',
  'https://10.0.0.8/hook',
  'https://169.254.169.254/latest/meta-data',
  'http://hooks.example.com/ubos',
  'https://metadata.internal/hook',
])('in production nobody can register %s', async (url) => {
  const { api } = world
  const reply = await api.post('/api/v1/webhook-endpoints', { url })
  expect(refusedWith(reply, 'endpoint_url_forbidden').errors[0].pointer).toBe('/url')
  const endpoint = await anEndpoint(api, publicUrl, ['payment.refunded'])
  refusedWith(await api.patch(endpoint.path, { url }), 'endpoint_url_forbidden')
})

test('an address that came to be forbidden after its registration is not written to', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const urls = [receiver.url, `https://127.0.0.1:${receiver.port}/`, 'https://10.0.0.8/']
  const endpoints = await Promise.all(urls.map(() => anEndpoint(api, publicUrl)))
  for (const [at, { id }] of endpoints.entries()) {
    await world.query('update webhook_endpoint set url = $2 where id = $1', [id, urls[at]])
  }
  await createClients(api)
  for (const endpoint of endpoints) {
    await attempted(world, endpoint)
    const delivery = await deliveryTo(api, endpoint)
    expect(delivery).toMatchObject({ status: 'PENDING', lastResponseStatus: null })
    const [attempt] = await attemptsAt(api, delivery)
    expect(attempt).toMatchObject({ outcome: 'ADDRESS_FORBIDDEN', responseStatus: null })
    expect(attempt?.error).not.toBe('')
  }
  expect(receiver.connections.made).toBe(0)
})
