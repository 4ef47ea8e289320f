import { afterAll, beforeAll, expect, test } from 'vitest'
import { aReceiver, deliveryTo } from '../webhooks/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const path = '/api/v1/egress-policy'
const endpoints = '/api/v1/webhook-endpoints'
const allow = (api: Api, allowedHosts: readonly string[] | null) =>
  api.patch(path, { allowedHosts })
const aClient = (api: Api) => api.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })

test('everybody begins without a list; a change of it counts, is conditional, and is in the audit', async () => {
  const api = await world.newTenant()
  const first = await api.get(path)
  expect(first).toMatchObject({ status: 200, body: { allowedHosts: null, revision: 1 } })
  expect((await api.get(path, { 'if-none-match': '"1"' })).status).toBe(304)
  const hosts = ['hooks.example', '*.corp.example']
  expect((await allow(api, hosts)).body).toEqual({ allowedHosts: hosts, revision: 2 })
  expect((await allow(api, hosts)).body.revision).toBe(2)
  const stale = await api.patch(path, { allowedHosts: null }, { 'if-match': '"1"' })
  refusedWith(stale, 'precondition_failed')
  expect((await api.patch(path, {})).body).toEqual({ allowedHosts: hosts, revision: 2 })
  expect((await allow(api, null)).body).toEqual({ allowedHosts: null, revision: 3 })
  const { data } = (await api.get('/api/v1/audit-entries?action=egress_policy.updated')).body
  expect(data).toHaveLength(2)
  const other = await world.newTenant()
  expect((await other.get(path)).body).toEqual({ allowedHosts: null, revision: 1 })
})

test.for([
  'HOOKS.example',
  'https://hooks.example',
  'hooks.example:443',
  'hooks.example/',
  '*',
  '*.',
  'a.*.example',
  '-a.example',
  'a..example',
  '',
  'ä.example',
])('%o is no host, and refused by its place in the list', async (host) => {
  const reply = await allow(world.api, ['hooks.example', host])
  expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe('/allowedHosts/1')
})

test('an endpoint is made and moved to hosts of the list alone', async () => {
  const api = await world.newTenant()
  await allow(api, ['hooks.example', '*.corp.example'])
  const refused = await api.post(endpoints, { url: 'https://evil.example/hooks.example' })
  expect(refusedWith(refused, 'endpoint_url_forbidden').errors).toEqual([
    {
      ...{ pointer: '/url', code: 'host_not_allowed' },
      message: 'is on a host that your egress policy does not allow',
    },
  ])
  const made = await api.post(endpoints, { url: 'https://a.corp.example/hook' })
  expect(made.status).toBe(201)
  const moved = await api.patch(`${endpoints}/${made.body.id}`, { url: 'https://evil.example/' })
  refusedWith(moved, 'endpoint_url_forbidden')
  const within = await api.patch(`${endpoints}/${made.body.id}`, { url: 'https://hooks.example/' })
  expect(within.status).toBe(200)
})

test('a list holds at every send: an endpoint that was there before gets nothing, and says why', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const { body: endpoint } = await api.post(endpoints, { url: receiver.url })
  await allow(api, ['hooks.example'])
  await aClient(api)
  await world.drain()
  expect(receiver.requests).toHaveLength(0)
  const delivery = await deliveryTo(api, endpoint, 'client.created')
  expect(delivery.status).toBe('PENDING')
  const attempts = await api.get(`/api/v1/webhook-deliveries/${delivery.id}/attempts`)
  expect(attempts.body.data).toMatchObject([
    {
      outcome: 'HOST_NOT_ALLOWED',
      error: '127.0.0.1 is not among the hosts that your egress policy allows.',
    },
  ])
  // What others may send to is no affair of this tenant's.
  const other = await world.newTenant()
  await other.post(endpoints, { url: receiver.url, eventTypes: ['client.created'] })
  await aClient(other)
  await receiver.received(1)
  await allow(api, ['127.0.0.1'])
  world.step(10_000)
  await receiver.received(2)
  expect(receiver.requests).toHaveLength(2)
})

test('keys of a source are named and fetched on hosts of the list alone', async () => {
  const api = await world.newTenant()
  const source = (jwksUrl: string) => ({
    ...{ name: 'Tokens', scheme: 'JWT', acceptsUndedupable: true },
    settings: { jwksUrl, issuer: 'https://issuer.example', audience: 'us' },
  })
  const receiver = await aReceiver()
  receiver.answers(200, { 'content-type': 'application/json' }, '{"keys":[]}')
  const keys = receiver.url
  const made = await api.post('/api/v1/inbound-sources', source(keys))
  expect(made.status).toBe(201)
  await allow(api, ['hooks.example'])
  const refused = await api.post('/api/v1/inbound-sources', source(keys))
  expect(refusedWith(refused, 'invalid_request').errors[0]).toMatchObject({
    ...{ pointer: '/settings/jwksUrl', message: expect.stringContaining('egress policy') },
  })

  const header = Buffer.from('{"alg":"RS256","kid":"a"}').toString('base64url')
  const seconds = Math.floor(Date.now() / 1_000)
  const claims = { iss: 'https://issuer.example', aud: 'us', iat: seconds, exp: seconds + 60 }
  const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
  const token = `${header}.${payload}.${Buffer.alloc(256, 1).toString('base64url')}`
  const sender = world.callsWith('')
  const send = () =>
    sender.post(new URL(made.body.url).pathname, '{}', { authorization: `Bearer ${token}` })
  expect((await send()).status).toBe(503)
  expect(receiver.requests).toHaveLength(0)
  await allow(api, ['127.0.0.1'])
  expect((await send()).status).toBe(401)
  expect(receiver.requests).toHaveLength(1)
})
