import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../db/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const minuteMs = 60_000

interface Made {
  id: string
  key: string
  calls: Api
}

async function makeKey(by: Api, scopes: string[], more: object = {}): Promise<Made> {
  const { status, body } = await by.post('/api/v1/api-keys', { name: 'Test', scopes, ...more })
  expect(status).toBe(201)
  return { id: body.id, key: body.key, calls: world.callsWith(body.key) }
}

const fromNow = (ms: number) => new Date(world.ctx.clock.now().getTime() + ms).toISOString()

test('a key does what its scopes say; for anything else 403 names the scope that is missing', async () => {
  const admin = await world.newTenant()
  const { calls } = await makeKey(admin, ['clients:read', 'proposals:write'])
  expect((await calls.get('/api/v1/clients')).status).toBe(200)
  const client = { name: 'Ada', currency: 'EUR' }
  const refusal = refusedWith(await calls.post('/api/v1/clients', client), 'insufficient_scope')
  expect(refusal.detail).toContain('clients:write')
  const reading = refusedWith(await calls.get('/api/v1/proposals'), 'insufficient_scope')
  expect(reading.detail, 'writing does not include reading').toContain('proposals:read')
  expect((await calls.get('/api/v1/me')).body.key.scopes).toEqual([
    'clients:read',
    'proposals:write',
  ])
})

test('nobody gives a scope that they lack, by making, widening or rotating a key', async () => {
  const admin = await world.newTenant()
  const narrow = await makeKey(admin, ['api_keys:write', 'api_keys:read', 'clients:read'])
  const wide = await makeKey(admin, ['clients:read', 'clients:write'])
  const path = `/api/v1/api-keys/${wide.id}`
  for (const scopes of [['clients:write'], ['clients:read', 'payments:read'], ['*']]) {
    const making = await narrow.calls.post('/api/v1/api-keys', { name: 'More', scopes })
    expect(making.status).toBe(403)
    refusedWith(making, 'scope_escalation')
    refusedWith(await narrow.calls.patch(path, { scopes }), 'scope_escalation')
  }
  refusedWith(await narrow.calls.post(`${path}/rotations`, {}), 'scope_escalation')
  const same = await makeKey(narrow.calls, ['clients:read'])
  expect((await same.calls.get('/api/v1/clients')).status).toBe(200)
})

test('an admin’s * is not the operator’s: operator scopes can be given by no tenant’s key', async () => {
  const admin = await world.newTenant()
  for (const scope of ['organizations', 'operators'].flatMap((noun) => [
    `${noun}:read`,
    `${noun}:write`,
  ])) {
    const body = { name: 'Operator?', scopes: ['clients:read', scope] }
    const { detail } = refusedWith(await admin.post('/api/v1/api-keys', body), 'scope_escalation')
    expect(detail).toContain(scope)
  }
})

test('a key opens nothing from its expiry on, and again when that is lifted', async () => {
  const admin = await world.newTenant()
  const { id, calls } = await makeKey(admin, ['clients:read'], { expiresAt: fromNow(minuteMs) })
  expect((await calls.get('/api/v1/clients')).status).toBe(200)
  world.step(minuteMs)
  const refused = await calls.get('/api/v1/clients')
  expect(refused.status).toBe(401)
  refusedWith(refused, 'key_expired')
  expect((await admin.get(`/api/v1/api-keys/${id}`)).body.status).toBe('EXPIRED')

  await admin.patch(`/api/v1/api-keys/${id}`, { expiresAt: null })
  await until(async () => (await calls.get('/api/v1/clients')).status === 200, 2_000)
  const past = await admin.patch(`/api/v1/api-keys/${id}`, { expiresAt: fromNow(-1) })
  expect(refusedWith(past, 'invalid_request').errors[0].pointer).toBe('/expiresAt')
})

test('after a rotation the old and the new secret work until the overlap is over, then the new one', async () => {
  const admin = await world.newTenant()
  const old = await makeKey(admin, ['clients:read'])
  const rotation = `/api/v1/api-keys/${old.id}/rotations`
  const rotated = await admin.post(rotation, { overlapSeconds: 600 })
  expect(rotated.status).toBe(201)
  expect(rotated.body).toMatchObject({ id: old.id, revision: 2, status: 'ACTIVE' })
  expect(rotated.body.key).not.toBe(old.key)
  const next = world.callsWith(rotated.body.key)

  const statuses = async () => [
    (await old.calls.get('/api/v1/clients')).status,
    (await next.get('/api/v1/clients')).status,
  ]
  expect(await statuses()).toEqual([200, 200])
  world.step(599_000)
  expect(await statuses()).toEqual([200, 200])
  world.step(1_000)
  expect(await statuses()).toEqual([401, 200])
  refusedWith(await old.calls.get('/api/v1/clients'), 'key_expired')
})

test('an overlap of nothing ends the old secret at once, and a second rotation does not prolong it', async () => {
  const admin = await world.newTenant()
  const old = await makeKey(admin, ['clients:read'])
  const rotation = `/api/v1/api-keys/${old.id}/rotations`
  const second = (await admin.post(rotation, { overlapSeconds: 0 })).body.key
  const third = (await admin.post(rotation, { overlapSeconds: 600 })).body.key
  await until(async () => (await old.calls.get('/api/v1/clients')).status === 401, 2_000)
  for (const key of [second, third]) {
    expect((await world.callsWith(key).get('/api/v1/clients')).status).toBe(200)
  }
  world.step(600_000)
  expect((await world.callsWith(second).get('/api/v1/clients')).status).toBe(401)
  expect((await world.callsWith(third).get('/api/v1/clients')).status).toBe(200)
})

test('a revoked key stays revoked: every secret of it, and whatever is tried with it', async () => {
  const admin = await world.newTenant()
  const old = await makeKey(admin, ['clients:read'])
  const path = `/api/v1/api-keys/${old.id}`
  const next = (await admin.post(`${path}/rotations`, {})).body.key
  const revoked = await admin.post(`${path}/revocation`)
  expect(revoked.body).toMatchObject({ status: 'REVOKED', revision: 3 })
  for (const key of [old.key, next]) {
    const calls = world.callsWith(key)
    await until(async () => (await calls.get('/api/v1/clients')).body.code === 'key_revoked', 2_000)
  }
  expect((await admin.post(`${path}/revocation`)).body).toEqual(revoked.body)
  refusedWith(await admin.post(`${path}/rotations`, {}), 'invalid_state')
  refusedWith(await admin.patch(path, { name: 'Alive again' }), 'invalid_state')
})

test('narrowing a key is effective within a second', async () => {
  const admin = await world.newTenant()
  const { id, calls } = await makeKey(admin, ['clients:read', 'payments:read'])
  expect((await calls.get('/api/v1/payments')).status).toBe(200)
  await admin.patch(`/api/v1/api-keys/${id}`, { scopes: ['clients:read'] })
  await until(async () => (await calls.get('/api/v1/payments')).status === 403, 1_000)
  expect((await calls.get('/api/v1/clients')).status).toBe(200)
})

test('a key is shown with its secret once; afterwards only its beginning is known', async () => {
  const admin = await world.newTenant()
  const { id, key } = await makeKey(admin, ['clients:read'])
  const shown = await admin.get(`/api/v1/api-keys/${id}`)
  expect(shown.body.key).toBeUndefined()
  expect(key.startsWith(shown.body.prefix)).toBe(true)
  expect(shown.body.prefix.length).toBeLessThan(15)
  const { data } = (await admin.get('/api/v1/api-keys')).body
  expect(data.map((each: Made) => each.id)).toContain(id)
  expect(JSON.stringify(data)).not.toContain(key.slice(0, 20))
})
