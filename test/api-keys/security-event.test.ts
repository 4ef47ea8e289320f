import { afterAll, beforeAll, expect, test } from 'vitest'
import { scopes } from '#generated/routes.ts'
import { until } from '../db/fixture.ts'
import { type Receiver, startReceiver } from '../receiver.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { startSecond } from './second-process.ts'

let world: World
let receiver: Receiver
let api: Api
beforeAll(async () => {
  world = await startWorld({ env: { UBOS_TRUST_PROXY: '127.0.0.1' } })
  receiver = await startReceiver()
  api = await world.newTenant()
  await api.post('/api/v1/webhook-endpoints', {
    url: receiver.url,
    eventTypes: ['api_key.suspicious'],
  })
})
afterAll(async () => {
  await receiver.stop()
  await world.stop()
})

const hourMs = 60 * 60 * 1_000

async function makeKey(body: object = {}): Promise<{ id: string; key: string; calls: Api }> {
  const reply = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['clients:read'], ...body })
  expect(reply.status).toBe(201)
  return { id: reply.body.id, key: reply.body.key, calls: world.callsWith(reply.body.key) }
}

interface Told {
  id: string
  kind: string
  severity: string
  count: number
  ip: string | null
  occurredAt: string
  reasons: string[]
}

const eventsOf = async (id: string, more = ''): Promise<Told[]> =>
  (await api.get(`/api/v1/api-security-events?apiKeyId=${id}${more}`)).body.data

/** The refusals of a key once as many are written down. */
async function refusalsOf(id: string, count: number): Promise<Told[]> {
  return await until(async () => {
    const refused = (await eventsOf(id)).filter(({ kind }) => kind.startsWith('KEY_REFUSED'))
    return refused.reduce((sum, one) => sum + one.count, 0) === count && refused
  })
}

/** What subscribers were told of a key. */
const toldOf = (id: string) =>
  receiver.requests
    .map(({ body }) => JSON.parse(body.toString()))
    .filter(({ data }) => data.apiKeyId === id)

test('whoever guards the keys hears that a revoked one is still in use, from where and how often', async () => {
  const { id, calls } = await makeKey()
  await api.post(`/api/v1/api-keys/${id}/revocation`)
  const knock = () => calls.get('/api/v1/clients', { 'x-forwarded-for': '198.51.100.23' })
  await until(async () => (await knock()).status === 401)
  const [first] = await until(async () => {
    const refused = await eventsOf(id, '&kind=KEY_REFUSED_REVOKED')
    return refused.length > 0 && refused
  })
  expect(first).toMatchObject({ severity: 'HIGH', ip: '198.51.100.23' })
  await until(async () => toldOf(id).length === 1)
  const [told] = toldOf(id)
  expect(told).toMatchObject({ type: 'api_key.suspicious', version: 1, data: { id: first?.id } })
  expect(told.data).toEqual({ ...first, count: told.data.count })

  for (let n = 0; n < 5; n += 1) await knock()
  await refusalsOf(id, (first?.count ?? 0) + 5)
  await world.drain()
  expect(toldOf(id), 'not again in the same hour').toHaveLength(1)
})

test.for<[string, string, (made: { id: string; key: string }) => Promise<unknown>]>([
  [
    'KEY_REFUSED_IP',
    'HIGH',
    ({ id }) => api.patch(`/api/v1/api-keys/${id}`, { allowedIps: ['203.0.113.7'] }),
  ],
  [
    'KEY_REFUSED_ROTATED',
    'MEDIUM',
    ({ id }) => api.post(`/api/v1/api-keys/${id}/rotations`, { overlapSeconds: 0 }),
  ],
  [
    'KEY_REFUSED_DISABLED',
    'MEDIUM',
    async ({ id }) => {
      const account = (await api.get(`/api/v1/api-keys/${id}`)).body.serviceAccountId
      await api.patch(`/api/v1/service-accounts/${account}`, { status: 'DISABLED' })
    },
  ],
  [
    'KEY_REFUSED_EXPIRED',
    'LOW',
    async ({ id }) => {
      const expiresAt = new Date(world.ctx.clock.now().getTime() + 1_000).toISOString()
      await api.patch(`/api/v1/api-keys/${id}`, { expiresAt })
      world.step(1_000)
    },
  ],
])('%s is told with the severity %s, once', async ([kind, severity, spoil]) => {
  const account = (await api.post('/api/v1/service-accounts', { name: kind })).body.id
  const made = await makeKey({ serviceAccountId: account })
  expect((await made.calls.get('/api/v1/clients')).status).toBe(200)
  await spoil(made)
  await until(async () => (await made.calls.get('/api/v1/clients')).status >= 401)
  await until(async () => toldOf(made.id).length === 1)
  const told = await eventsOf(made.id, `&kind=${kind}`)
  expect(told).toMatchObject([{ kind, severity, ip: '127.0.0.1' }])
})

test('two processes that refuse the same key tell of it once, and again in the next hour', async () => {
  const { id, key } = await makeKey()
  await api.post(`/api/v1/api-keys/${id}/revocation`)
  await until(async () => (await world.callsWith(key).get('/api/v1/me')).status === 401)
  const [first = { count: 0 }] = await until(async () => {
    const refused = (await eventsOf(id)).filter(({ kind }) => kind === 'KEY_REFUSED_REVOKED')
    return refused.length > 0 && refused
  })
  const seconds = await Promise.all([startSecond(world), startSecond(world)])
  const knock = () => Promise.all(seconds.map((second) => second.statusFor(key)))
  for (let n = 0; n < 3; n += 1) expect(await knock()).toEqual([401, 401])
  await refusalsOf(id, first.count + 6)
  expect(await refusalsOf(id, first.count + 6)).toHaveLength(1)

  world.step(hourMs)
  await knock()
  // Both are the first of the hour for all they know, and write at the same moment.
  await Promise.all(seconds.map((second) => second.stop()))
  expect(await refusalsOf(id, first.count + 8)).toHaveLength(2)
  await world.drain()
  expect(toldOf(id)).toHaveLength(2)
})

test('what was done to a key is told too, and what widened it stands out', async () => {
  const { id } = await makeKey({ allowedIps: ['203.0.113.7'] })
  const path = `/api/v1/api-keys/${id}`
  await api.patch(path, { name: 'Renamed' })
  await api.patch(path, { scopes: ['clients:read', 'clients:write'], allowedIps: null })
  await api.post(`${path}/rotations`, {})
  await api.post(`${path}/revocation`)
  await api.post(`${path}/revocation`)
  const told = (await eventsOf(id, '&sort=createdAt')).map(({ kind, severity, reasons }) => {
    return [kind, severity, reasons.length]
  })
  expect(told).toEqual([
    ['KEY_CREATED', 'LOW', 0],
    ['KEY_UPDATED', 'LOW', 0],
    ['KEY_UPDATED', 'MEDIUM', 2],
    ['KEY_ROTATED', 'LOW', 0],
    ['KEY_REVOKED', 'LOW', 0],
  ])
  const { id: grown } = await makeKey()
  const all = scopes.filter((scope) => !/^(\*|organizations|operators)/.test(scope))
  await api.patch(`/api/v1/api-keys/${grown}`, { scopes: all })
  const [growth] = await eventsOf(grown)
  expect(growth?.reasons[0]).toContain('It got api_keys:read, api_keys:write')
  const admin = await makeKey({ scopes: ['*'] })
  expect(await eventsOf(admin.id)).toMatchObject([{ kind: 'KEY_CREATED', severity: 'MEDIUM' }])
  await world.drain()
  expect(toldOf(id), 'these have event types of their own').toEqual([])
})

test('the list goes page by page, and knows only its own tenant', async () => {
  const { id } = await makeKey()
  for (let n = 0; n < 4; n += 1) await api.patch(`/api/v1/api-keys/${id}`, { name: `K${n}` })
  const seen: string[] = []
  let query = '&limit=2'
  for (;;) {
    const reply = await api.get(`/api/v1/api-security-events?apiKeyId=${id}${query}`)
    seen.push(...reply.body.data.map((event: Told) => event.id))
    if (reply.body.nextCursor === null) break
    query = `&limit=2&cursor=${reply.body.nextCursor}`
  }
  expect(seen).toHaveLength(5)
  expect(seen).toEqual([...new Set(seen)].sort().reverse())
  expect((await world.api.get(`/api/v1/api-security-events?apiKeyId=${id}`)).body.data).toEqual([])
})
