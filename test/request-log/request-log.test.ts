import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDoor } from '#app.ts'
import { routes } from '#generated/routes.ts'
import { mount } from '#http/mount.ts'
import type { Handlers } from '#http/operation.ts'
import { createServer } from '#http/server.ts'
import { operatorTenantId } from '#ids.ts'
import { operations } from '#operations.ts'
import { runRequestLog } from '#request-log/writer.ts'
import { startSecond } from '../api-keys/second-process.ts'
import { exhaust, limitKeys, stoppedClock } from '../http/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { rowOf } from './fixture.ts'

let world: World
let api: Api
let tenant: string
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
  tenant = (await api.get('/api/v1/me')).body.tenant.id
})
afterAll(() => world.stop())

const aClient = { name: 'Ada', currency: 'EUR' }

async function aKey(scopes: string[]): Promise<Api & { id: string }> {
  const { body } = await api.post('/api/v1/api-keys', { name: 'K', scopes })
  return { ...world.callsWith(body.key), id: body.id }
}

test('a call that went well has a row that says who asked what, and how long it took', async () => {
  const reader = await aKey(['clients:read'])
  const reply = await reader.get('/api/v1/clients?limit=3', {
    'x-correlation-id': 'order-4711',
    'user-agent': 'webshop/2.1',
  })
  const row = await rowOf(world, reply)
  expect(row).toMatchObject({
    tenant_id: tenant,
    id: reply.headers.get('x-request-id'),
    operation_id: 'listClients',
    method: 'GET',
    path: '/api/v1/clients',
    status: 200,
    code: null,
    api_key_id: reader.id,
    request_bytes: 0,
    response_bytes: JSON.stringify(reply.body).length,
    is_limited: false,
    limit_state: reply.headers.get('ratelimit'),
    is_replay: false,
    correlation_id: 'order-4711',
    ip: '127.0.0.1',
    user_agent: 'webshop/2.1',
    left_out_before: 0,
    request_body: null,
    response_body: null,
  })
  expect(row.limit_state).toContain('read')
  expect(row.duration_ms).toBeGreaterThanOrEqual(row.auth_ms + row.handler_ms)
  expect(row.auth_ms).toBeGreaterThan(0)
  expect(row.handler_ms).toBeGreaterThan(0)
  expect(Math.abs(Date.now() - row.occurred_at.getTime())).toBeLessThan(60_000)
})

test('refusals have rows that name the problem, up to where the call got', async () => {
  const reader = await aKey(['clients:read'])
  const invalid = await rowOf(world, await api.post('/api/v1/clients', { name: 1 }))
  expect(invalid).toMatchObject({ status: 400, code: 'invalid_request', request_bytes: 10 })
  expect(invalid.handler_ms).not.toBeNull()

  const unscoped = await rowOf(world, await reader.post('/api/v1/clients', aClient))
  const door = { tenant_id: tenant, api_key_id: reader.id, handler_ms: null, request_bytes: 0 }
  expect(unscoped).toMatchObject({ status: 403, code: 'insufficient_scope', ...door })
  expect(unscoped.auth_ms).not.toBeNull()

  const missing = await rowOf(world, await api.get(`/api/v1/clients/cli_${'0'.repeat(26)}`))
  expect(missing).toMatchObject({ status: 404, path: '/api/v1/clients/{clientId}' })
})

test('a call with a key that was revoked is in the log of its owner', async () => {
  const key = await aKey(['clients:read'])
  await key.get('/api/v1/me')
  await api.post(`/api/v1/api-keys/${key.id}/revocation`)
  let reply = await key.get('/api/v1/me')
  await until(async () => {
    reply = await key.get('/api/v1/me')
    return reply.status === 401
  })
  const row = await rowOf(world, reply)
  expect(row).toMatchObject({ tenant_id: tenant, api_key_id: key.id, code: 'key_revoked' })
})

test('a call that came too often is marked, and so is one that got a stored answer', async () => {
  const key = await aKey(['clients:read'])
  await limitKeys(world, api)
  const { clock } = stoppedClock()
  const second = await startSecond(world, (ctx) => ({ ...ctx, clock }))
  const limited = await rowOf(world, await exhaust(second.url, key.key))
  await second.stop()
  expect(limited).toMatchObject({ status: 429, is_limited: true, api_key_id: key.id })

  const once = { 'idempotency-key': 'once' }
  const first = await api.post('/api/v1/clients', aClient, once)
  const again = await api.post('/api/v1/clients', aClient, once)
  expect(await rowOf(world, first)).toMatchObject({ status: 201, is_replay: false })
  expect(await rowOf(world, again)).toMatchObject({ status: 201, is_replay: true })
})

/** An API in which `getMe` does as it likes. */
async function startSpoilt(getMe: () => Promise<unknown>) {
  const requestLog = runRequestLog(world.ctx)
  const door = openDoor(world.ctx)
  const all = Object.values(routes)
  const app = createServer(world.ctx, all, requestLog.note)
  const table = { ...operations, getMe } as unknown as Handlers
  mount(app, door, all, table)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url: `${url}/api/v1/me`,
    async stop() {
      await app.close()
      await door.close()
      await requestLog.stop(5_000)
    },
  }
}

test('a caller that hangs up before it is answered has a row that says so', async () => {
  const begun = Promise.withResolvers<void>()
  const never = new Promise(() => undefined)
  const spoilt = await startSpoilt(() => {
    begun.resolve()
    return never
  })
  const headers = { authorization: `Bearer ${api.key}`, 'user-agent': 'impatient' }
  const abort = new AbortController()
  const reply = fetch(spoilt.url, { headers, signal: abort.signal }).catch(() => undefined)
  await begun.promise
  abort.abort()
  await reply
  const rows = () => world.query("select * from request_log where user_agent = 'impatient'")
  await until(async () => (await rows()).length === 1)
  await spoilt.stop()
  const [row] = await rows()
  expect(row).toMatchObject({ status: 499, code: null, tenant_id: tenant, response_bytes: 0 })
  expect(row?.handler_ms).toBeGreaterThan(0)
})

test('an answer that our own fault spoilt is a row of its caller, with a 500', async () => {
  const spoilt = await startSpoilt(() => Promise.reject(new Error('broken')))
  const headers = { authorization: `Bearer ${api.key}` }
  const reply = await fetch(spoilt.url, { headers })
  await spoilt.stop()
  const row = await rowOf(world, reply)
  expect(row).toMatchObject({ status: 500, code: 'internal_error', tenant_id: tenant })
})

test('calls of nobody we know are the operators to see, and no tenant', async () => {
  const stranger = world.callsWith('junk')
  const junk = await rowOf(world, await stranger.get('/api/v1/clients?secret=1'))
  const nobody = { tenant_id: operatorTenantId, api_key_id: null }
  expect(junk).toMatchObject({ status: 401, code: 'unauthorized', ...nobody })
  const stray = await rowOf(world, await api.get('/api/v1/clientele?name=Ada'))
  expect(stray).toMatchObject({
    status: 404,
    operation_id: null,
    path: '/api/v1/clientele',
    code: 'route_not_found',
    auth_ms: null,
    ...nobody,
  })
  const wrong = await fetch(`${world.url}/api/v1/clients`, { method: 'PUT' })
  expect(await rowOf(world, wrong)).toMatchObject({ status: 405, method: 'PUT', ...nobody })
  const { body } = await world.operator.get('/api/v1/request-logs?statusClass=CLIENT_ERROR')
  expect(body.data.map(({ id }: { id: string }) => id)).toContain(stray.id)
})

test('probes, metrics, docs and preflights fill no log', async () => {
  const paths = ['/livez', '/readyz', '/metrics', '/openapi.json', '/docs', '/problems/not_found']
  const replies = await Promise.all(paths.map((path) => fetch(world.url + path)))
  replies.push(await fetch(`${world.url}/api/v1/clients`, { method: 'OPTIONS' }))
  expect(replies.every(({ status }) => status < 400)).toBe(true)
  await rowOf(world, await api.get('/api/v1/me'))
  const ids = replies.map(({ headers }) => headers.get('x-request-id'))
  const rows = await world.query('select id from request_log where id = any($1)', [ids])
  expect(rows).toEqual([])
})

test('a flood of junk gets few rows, and the figures count all of it', async () => {
  const flooded = await startSecond(world)
  const junk = () => fetch(`${flooded.url}/api/v1/me`, { headers: { 'user-agent': 'flood' } })
  const calls = 300
  for (let at = 0; at < calls; at += 50) await Promise.all(Array.from({ length: 50 }, junk))
  await flooded.stop()
  const rows = await world.query<{ left_out_before: number }>(
    "select left_out_before from request_log where user_agent = 'flood'",
  )
  // A minute may have ended in between, and another begun.
  expect([60, 120]).toContain(rows.length)
  const [told] = await world.query<{ calls: string }>(
    `select sum(calls) as calls from api_call_minute where operation_id = 'getMe'
        and api_key_id = '' and tenant_id = $1`,
    [operatorTenantId],
  )
  expect(Number(told?.calls)).toBe(calls)
})

test('each answer says how long we took, to pages of other sites too', async () => {
  const good = await api.get('/api/v1/me')
  expect(good.headers.get('server-timing')).toMatch(
    /^total;dur=\d+\.\d, auth;dur=\d+\.\d, handler;dur=\d+\.\d$/,
  )
  expect(good.headers.get('access-control-expose-headers')).toContain('server-timing')
  const refused = await world.callsWith('junk').get('/api/v1/me')
  expect(refused.headers.get('server-timing')).toMatch(/^total;dur=\d+\.\d, auth;dur=\d+\.\d$/)
  const stray = await api.get('/nowhere')
  expect(stray.headers.get('server-timing')).toMatch(/^total;dur=\d+\.\d$/)
})

test('a process that is told to stop writes down what it has answered', async () => {
  const second = await startSecond(world)
  const headers = { authorization: `Bearer ${api.key}` }
  const calls = Array.from({ length: 20 }, () => fetch(`${second.url}/api/v1/me`, { headers }))
  const ids = (await Promise.all(calls)).map((reply) => reply.headers.get('x-request-id'))
  await second.stop()
  const rows = await world.query('select id from request_log where id = any($1)', [ids])
  expect(rows).toHaveLength(20)
})
