import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { record } from '#audit/record.ts'
import { insertClient } from '#clients/client.sql.ts'
import { toClient } from '#clients/client.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import type { Call } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { newRow, tenantOf } from '../db/fixture.ts'
import { startWorld, type World } from '../world.ts'
import { startMisbehaving } from './fixture.ts'

let world: World
let server: Awaited<ReturnType<typeof startMisbehaving>> | undefined
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterEach(() => server?.stop())
afterAll(() => world.stop())

const secret = 'correct-horse-battery-staple'

interface Answer {
  status: number
  headers?: Record<string, string>
  body?: unknown
}

/** A creation that does all its work, and then answers what `twist` makes of the right answer. */
function creating(twist: (right: Required<Answer>) => Answer) {
  return async (_ctx: unknown, call: Call, _request: unknown, tx: Tx) => {
    const client = newRow(world.ctx, 'Committed?')
    const view = toClient(client)
    insertClient(tx, call.tenantId, client)
    record(tx, call, 'client.created', client.id, { after: view })
    publish(tx, call, 'client.created', view)
    const headers = { Location: `/api/v1/clients/${client.id}` }
    return twist({ status: 201, headers, body: { ...view } })
  }
}

async function call(method: 'GET' | 'POST' | 'DELETE', path: string, key = world.api.key) {
  const response = await fetch(`${server?.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
      ...(method === 'GET' ? {} : { 'idempotency-key': 'kept?' }),
    },
    ...(method === 'POST' ? { body: '{"name":"Ada","currency":"EUR"}' } : {}),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/** An answer that says that it is our fault, and nothing else. */
function ourFault(reply: Awaited<ReturnType<typeof call>>): void {
  expect(reply.status).toBe(500)
  expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(JSON.parse(reply.text).code).toBe('internal_error')
  expect(reply.text).not.toContain(secret)
  expect([...reply.headers.values()].join()).not.toContain(secret)
}

/** What any call of the tenant has left in the database. */
async function traces(tenant: string) {
  const [found] = await world.query(
    `select (select count(*)::int from client where tenant_id = $1) as clients,
      (select count(*)::int from event where tenant_id = $1 and type = 'client.created') as events,
      (select count(*)::int from audit where tenant_id = $1 and action = 'client.created') as audits,
      (select count(*)::int from idempotency where tenant_id = $1) as replies`,
    [tenant],
  )
  return found
}

test('a handler that keeps to its contract commits', async () => {
  const api = await world.newTenant()
  server = await startMisbehaving(world, { createClient: creating((right) => right) })
  expect((await call('POST', '/api/v1/clients', api.key)).status).toBe(201)
  const all = { clients: 1, events: 1, audits: 1, replies: 1 }
  expect(await traces(await tenantOf(api))).toEqual(all)
})

const id = `cli_${'0'.repeat(26)}`
const conflict = {
  type: '/problems/conflict',
  title: 'Well formed',
  status: 409,
  code: 'conflict',
  requestId: 'req_1',
}
test.for<[string, (right: Required<Answer>) => Answer]>([
  ['a status that is not declared', () => ({ status: 202, body: { secret } })],
  ['a declared refusal as if it were an answer', () => ({ status: 409, body: conflict })],
  ['another success', () => ({ status: 200, body: { id, secret } })],
  ['no body', ({ status }) => ({ status })],
  ['a text', ({ status }) => ({ status, body: secret })],
  [
    'a field of another type',
    ({ status, body }) => ({ status, body: { ...Object(body), revision: '1' } }),
  ],
  [
    'a field that is missing',
    ({ status, body }) => ({ status, body: { ...Object(body), name: undefined } }),
  ],
  [
    'a value that breaks its pattern',
    ({ status, body }) => ({ status, body: { ...Object(body), id: secret } }),
  ],
  [
    'a value that breaks its format',
    ({ status, body }) => ({ status, body: { ...Object(body), createdAt: 'now' } }),
  ],
  [
    'a text that is too long',
    ({ status, body }) => ({ status, body: { ...Object(body), name: 'a'.repeat(201) } }),
  ],
  [
    'a currency of four letters',
    ({ status, body }) => ({ status, body: { ...Object(body), currency: 'EURO' } }),
  ],
])('a write that answers %s is a 500, tells nothing and commits nothing', async ([, twist]) => {
  const api = await world.newTenant()
  server = await startMisbehaving(world, { createClient: creating(twist) })
  ourFault(await call('POST', '/api/v1/clients', api.key))
  const none = { clients: 0, events: 0, audits: 0, replies: 0 }
  expect(await traces(await tenantOf(api))).toEqual(none)
})

test('a body where the contract has none is a 500, and nothing is deleted', async () => {
  const api = await world.newTenant()
  const made = await api.post('/api/v1/clients', { name: 'Stays', currency: 'EUR' })
  server = await startMisbehaving(world, {
    deleteClient: async () => ({ status: 204, body: { secret } }),
  })
  ourFault(await call('DELETE', `/api/v1/clients/${made.body.id}`, api.key))
  expect((await api.get(`/api/v1/clients/${made.body.id}`)).status).toBe(200)
})

test.for<[string, () => Promise<unknown>]>([
  ['answers a status that is not declared', async () => ({ status: 418, body: { secret } })],
  [
    'answers an enum’s stranger',
    async () => ({
      status: 200,
      body: { ...(await me()), tenant: { id: await tenantOf(world.api), environment: secret } },
    }),
  ],
  ['throws an error that says too much', async () => Promise.reject(new Error(secret))],
  ['throws what is no error', async () => Promise.reject({ secret, statusCode: 200 })],
  [
    'throws an error with a status',
    async () => Promise.reject(Object.assign(new Error(secret), { statusCode: 402 })),
  ],
  [
    'refuses with a code whose status is not declared',
    async () => {
      throw problem('conflict', { detail: secret })
    },
  ],
  ['answers nothing', async () => undefined],
])('a read that %s is a 500 and tells nothing', async ([, getMe]) => {
  server = await startMisbehaving(world, { getMe })
  ourFault(await call('GET', '/api/v1/me'))
})

const me = async () => (await world.api.get('/api/v1/me')).body

test('in production too the replies of writes are checked', async () => {
  const config = { ...world.ctx.config, profile: 'production' as const }
  server = await startMisbehaving(
    { ...world, ctx: { ...world.ctx, config } },
    { createClient: creating(({ status }) => ({ status, body: { secret } })) },
  )
  ourFault(await call('POST', '/api/v1/clients'))
})
