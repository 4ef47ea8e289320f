import { afterAll, beforeAll, expect, test } from 'vitest'
import { tenantOf } from '../db/fixture.ts'
import { type Api, type Reply, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const hourMs = 60 * 60 * 1000
const clients = '/api/v1/clients'
const client = { name: 'Ada', currency: 'EUR' }
const under = (key: string) => ({ 'idempotency-key': key })

/** That a repetition got the first answer again, and is marked as one. */
function replays(again: Reply, first: Reply): void {
  expect(again.status).toBe(first.status)
  expect(again.body).toEqual(first.body)
  for (const name of ['content-type', 'etag', 'location']) {
    expect(again.headers.get(name), name).toBe(first.headers.get(name))
  }
  expect(first.headers.get('idempotent-replayed')).toBeNull()
  expect(again.headers.get('idempotent-replayed')).toBe('true')
  expect(again.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
}

test('a repetition gets the first answer, and nothing is done twice', async () => {
  const api = await world.newTenant()
  const first = await api.post(clients, client, under('once'))
  expect(first.status).toBe(201)
  replays(await api.post(clients, client, under('once')), first)
  expect((await api.get(clients)).body.data).toHaveLength(1)
})

test('a key is the same bare and in quotes, and another in other letters', async () => {
  const api = await world.newTenant()
  const first = await api.post(clients, client, under('a-key'))
  replays(await api.post(clients, client, under('"a-key"')), first)
  const other = await api.post(clients, client, under('A-key'))
  expect(other.body.id).not.toBe(first.body.id)
})

test('a key that stands for one request is refused for another: body, path, query or method', async () => {
  const api = await world.newTenant()
  const first = await api.post(clients, client, under('mine'))
  const path = `${clients}/${first.body.id}`
  const others = [
    await api.post(clients, { ...client, name: 'Bob' }, under('mine')),
    await api.post(clients, `${JSON.stringify(client)} `, under('mine')),
    await api.post('/api/v1/payments', { amount: 1, currency: 'EUR' }, under('mine')),
    await api.patch(path, { name: 'Bob' }, under('mine')),
    await api.delete(path, under('mine')),
  ]
  for (const reply of others) {
    expect(reply.status).toBe(422)
    refusedWith(reply, 'idempotency_key_reused')
  }
  expect((await api.get(path)).body).toEqual(first.body)
  expect((await api.get('/api/v1/payments')).body.data).toEqual([])
})

test('a refusal is not kept: what was put right is done under the same key', async () => {
  const api = await world.newTenant()
  const taken = await api.post(clients, { ...client, externalId: 'x' })
  const wanted = { ...client, externalId: 'x' }
  refusedWith(
    await api.post(clients, { ...client, currency: 'XXX' }, under('k')),
    'currency_unknown',
  )
  refusedWith(await api.post(clients, { nonsense: 1 }, under('k')), 'invalid_request')
  refusedWith(await api.post(clients, wanted, under('k')), 'external_id_taken')
  await api.delete(`${clients}/${taken.body.id}`)
  const made = await api.post(clients, wanted, under('k'))
  expect(made.status).toBe(201)
  replays(await api.post(clients, wanted, under('k')), made)
})

test('a transition that is repeated gets its answer, not a complaint about the state', async () => {
  const api = await world.newTenant()
  const { body } = await api.post(clients, client)
  const line = { description: 'Work', quantity: 1, unitAmount: 10 }
  const offer = { clientId: body.id, title: 'Offer', currency: 'EUR', lines: [line] }
  const { id } = (await api.post('/api/v1/proposals', offer)).body
  for (const step of ['submission', 'acceptance']) {
    const path = `/api/v1/proposals/${id}/${step}`
    const first = await api.post(path, undefined, under(step))
    expect(first.status).toBe(200)
    replays(await api.post(path, undefined, under(step)), first)
    refusedWith(
      await api.post(path, undefined, under(`another ${step}`.replace(' ', '-'))),
      'invalid_state',
    )
  }
})

test('a deletion that is repeated gets its answer, though the thing is gone; so does a patch', async () => {
  const api = await world.newTenant()
  const path = `${clients}/${(await api.post(clients, client)).body.id}`
  const ifMatch = { 'if-match': '"1"' }
  const patched = await api.patch(path, { phone: '1' }, { ...under('patch'), ...ifMatch })
  replays(await api.patch(path, { phone: '1' }, { ...under('patch'), ...ifMatch }), patched)
  const deleted = await api.delete(path, under('delete'))
  expect(deleted.status).toBe(204)
  replays(await api.delete(path, under('delete')), deleted)
  refusedWith(await api.delete(path, under('delete-again')), 'not_found')
})

test.for<[string, string, object]>([
  ['createApiKey', '/api/v1/api-keys', { name: 'K', scopes: ['clients:read'] }],
  ['createWebhookEndpoint', '/api/v1/webhook-endpoints', { url: 'http://127.0.0.1:9999/hook' }],
])(
  '%s gives the same secret to a repetition, and what is kept of it is sealed',
  async ([, path, body]) => {
    const api = await world.newTenant()
    const first = await api.post(path, body, under('secret'))
    expect(first.status).toBe(201)
    const again = await api.post(path, body, under('secret'))
    replays(again, first)
    const secret: string = first.body.key ?? first.body.secret
    expect(again.body.key ?? again.body.secret).toBe(secret)

    const [kept] = await world.query<{ body: Buffer; is_sealed: boolean; headers: object }>(
      'select body, is_sealed, headers from idempotency where tenant_id = $1 and key = $2',
      [await tenantOf(api), 'secret'],
    )
    expect(kept?.is_sealed).toBe(true)
    for (const part of [secret, secret.slice(12), first.body.id, 'createdAt']) {
      expect(kept?.body.includes(part), part).toBe(false)
    }
    expect(JSON.stringify(kept?.headers)).not.toContain(secret.slice(12))
  },
)

test('after a day a key is new', async () => {
  const api = await world.newTenant()
  const first = await api.post(clients, client, under('daily'))
  world.step(23 * hourMs)
  replays(await api.post(clients, client, under('daily')), first)
  refusedWith(
    await api.post(clients, { ...client, name: 'B' }, under('daily')),
    'idempotency_key_reused',
  )
  world.step(hourMs)
  const next = await api.post(clients, { ...client, name: 'B' }, under('daily'))
  expect(next.status).toBe(201)
  expect(next.headers.get('idempotent-replayed')).toBeNull()
  replays(await api.post(clients, { ...client, name: 'B' }, under('daily')), next)
})

test('two tenants may use one key, each for its own', async () => {
  const [one, other] = [await world.newTenant(), await world.newTenant()]
  const made = async (api: Api, name: string) =>
    api.post(clients, { ...client, name }, under('shared'))
  const [first, second] = await Promise.all([made(one, 'First'), made(other, 'Second')])
  expect([first.status, second.status]).toEqual([201, 201])
  replays(await made(one, 'First'), first)
  replays(await made(other, 'Second'), second)
  refusedWith(await made(one, 'Second'), 'idempotency_key_reused')
})

test('a repetition may come with another API key of the same tenant', async () => {
  const api = await world.newTenant()
  const scopes = ['clients:write', 'clients:read']
  const made = await api.post('/api/v1/api-keys', { name: 'K', scopes })
  const colleague = world.callsWith(made.body.key)
  const first = await api.post(clients, client, under('team'))
  replays(await colleague.post(clients, client, under('team')), first)
})

test.for(['', ' ', 'a b', 'ü', 'a'.repeat(256), '""'])('%j is no key', async (key) => {
  const reply = await world.api.post('/api/v1/payments', { amount: 1, currency: 'EUR' }, under(key))
  expect(reply.status).toBe(400)
  expect(['invalid_request', 'idempotency_key_required']).toContain(reply.body.code)
})

test('a reply with a secret is replayed to the key that asked for it, and to no other', async () => {
  const api = await world.newTenant()
  const narrow = await api.post('/api/v1/api-keys', { name: 'ci', scopes: ['api_keys:write'] })
  const headers = { 'idempotency-key': 'broad-key' }
  const broad = { name: 'broad', scopes: ['*'] }
  const made = await api.post('/api/v1/api-keys', broad, headers)
  expect((await api.post('/api/v1/api-keys', broad, headers)).body.key).toBe(made.body.key)

  const stranger = world.callsWith(narrow.body.key)
  const refused = await stranger.post('/api/v1/api-keys', broad, headers)
  refusedWith(refused, 'idempotency_key_reused')
  expect(JSON.stringify(refused.body)).not.toContain(made.body.key)
})
