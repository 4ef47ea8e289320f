import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSecond } from '../api-keys/second-process.ts'
import { until } from '../db/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
})
afterAll(() => world.stop())

const accounts = '/api/v1/service-accounts'

async function makeAccount(body: object = {}): Promise<{ id: string; path: string }> {
  const reply = await api.post(accounts, { name: 'Warehouse', ...body })
  expect(reply.status).toBe(201)
  expect(reply.headers.get('location')).toBe(`${accounts}/${reply.body.id}`)
  return { id: reply.body.id, path: `${accounts}/${reply.body.id}` }
}

async function makeKey(serviceAccountId: string | undefined, scopes = ['clients:read']) {
  const body = { name: 'K', scopes, serviceAccountId }
  const reply = await api.post('/api/v1/api-keys', body)
  expect(reply.status).toBe(201)
  const { id, key } = reply.body as { id: string; key: string }
  return { id, key, path: `/api/v1/api-keys/${id}`, calls: world.callsWith(key) }
}

const codeFor = async (calls: Api) => (await calls.get('/api/v1/clients')).body.code

test('disabling an account stops all its keys and no others; enabling brings back those not revoked', async () => {
  const account = await makeAccount()
  const [one, two, revoked] = await Promise.all([1, 2, 3].map(() => makeKey(account.id)))
  const other = await makeKey(undefined)
  if (!one || !two || !revoked) throw new Error('three keys were made')
  for (const { calls } of [one, two, revoked, other]) {
    expect((await calls.get('/api/v1/clients')).status).toBe(200)
  }
  await api.post(`${revoked.path}/revocation`)
  expect((await api.patch(account.path, { status: 'DISABLED' })).body.status).toBe('DISABLED')
  for (const { calls, path } of [one, two]) {
    await until(async () => (await codeFor(calls)) === 'key_disabled', 1_000)
    expect((await calls.get('/api/v1/clients')).status).toBe(401)
    expect((await api.get(path)).body.status).toBe('DISABLED')
  }
  expect((await other.calls.get('/api/v1/clients')).status).toBe(200)
  const rotated = await api.post(`${one.path}/rotations`, {})
  const made = await makeKey(account.id)
  for (const calls of [world.callsWith(rotated.body.key), made.calls]) {
    expect(await codeFor(calls), 'no new secret is a way around it').toBe('key_disabled')
  }

  await api.patch(account.path, { status: 'ENABLED' })
  for (const { calls, path } of [one, two, made]) {
    await until(async () => (await calls.get('/api/v1/clients')).status === 200, 1_000)
    expect((await api.get(path)).body.status).toBe('ACTIVE')
  }
  expect(await codeFor(revoked.calls)).toBe('key_revoked')
})

test('an account that is disabled is so in every process within a second, and a rename changes nothing', async () => {
  const account = await makeAccount()
  const key = await makeKey(account.id)
  const second = await startSecond(world)
  expect(await second.statusFor(key.key)).toBe(200)
  await api.patch(account.path, { status: 'DISABLED' })
  await until(async () => (await second.statusFor(key.key)) === 401, 1_000)
  await api.patch(account.path, { name: 'Renamed', description: null })
  expect(await second.statusFor(key.key)).toBe(401)
  await second.stop()
})

test('a key that rests leaves no successor, though its process has it cached', async () => {
  const account = await makeAccount()
  const key = await makeKey(account.id, ['api_keys:write'])
  expect((await key.calls.get('/api/v1/me')).status).toBe(200)
  await api.patch(account.path, { status: 'DISABLED' })
  const heir = { name: 'heir', scopes: ['api_keys:write'], serviceAccountId: account.id }
  refusedWith(await key.calls.post('/api/v1/api-keys', heir), 'key_disabled')
})

test('what an account may not do, none of its keys does, whatever it was given before', async () => {
  const account = await makeAccount()
  const key = await makeKey(account.id, ['clients:read', 'payments:read'])
  const admin = await makeKey(account.id, ['*'])
  const status = async ({ calls }: { calls: Api }, list: string) =>
    (await calls.get(`/api/v1/${list}`)).status
  expect(await status(key, 'payments')).toBe(200)
  await api.patch(account.path, { scopes: ['clients:read', 'clients:write'] })
  await until(async () => (await status(key, 'payments')) === 403, 1_000)
  await until(async () => (await status(admin, 'payments')) === 403, 1_000)
  expect(await status(key, 'clients')).toBe(200)
  expect((await key.calls.get('/api/v1/me')).body).toMatchObject({
    key: { scopes: ['clients:read'] },
    serviceAccount: { id: account.id, name: 'Warehouse' },
  })
  expect((await admin.calls.get('/api/v1/me')).body.key.scopes).toEqual([
    'clients:read',
    'clients:write',
  ])
  expect((await api.get(key.path)).body.scopes).toEqual(['clients:read', 'payments:read'])

  await api.patch(account.path, { scopes: null })
  await until(async () => (await status(key, 'payments')) === 200, 1_000)
  await until(async () => (await status(admin, 'payments')) === 200, 1_000)
})

test('only whoever has all scopes of its keys decides over an account', async () => {
  const account = await makeAccount()
  await makeKey(account.id, ['clients:read', 'payments:write'])
  const gone = await makeKey(account.id, ['*'])
  await api.post(`${gone.path}/revocation`)
  const manages = ['service_accounts:write', 'clients:read']
  const narrow = (await makeKey(undefined, manages)).calls
  for (const body of [{ status: 'DISABLED' }, { scopes: ['clients:read'] }, { scopes: null }]) {
    const wanted = body.scopes === null ? { ...body, status: 'DISABLED' } : body
    refusedWith(await narrow.patch(account.path, wanted), 'scope_escalation')
  }
  expect((await narrow.patch(account.path, { name: 'Renamed' })).status).toBe(200)
  const equal = (await makeKey(undefined, [...manages, 'payments:write'])).calls
  expect((await equal.patch(account.path, { status: 'DISABLED' })).status).toBe(200)
  refusedWith(await narrow.patch(account.path, { status: 'ENABLED' }), 'scope_escalation')
})

test('an account is deleted when none of its keys is left, and is then not found', async () => {
  const account = await makeAccount()
  const key = await makeKey(account.id)
  const refused = await api.delete(account.path)
  expect(refused.status).toBe(409)
  refusedWith(refused, 'resource_in_use')
  expect((await key.calls.get('/api/v1/clients')).status).toBe(200)
  await api.post(`${key.path}/revocation`)
  refusedWith(await api.delete(account.path, { 'if-match': '"7"' }), 'precondition_failed')
  expect((await api.delete(account.path)).status).toBe(204)

  refusedWith(await api.get(account.path), 'not_found')
  refusedWith(await api.patch(account.path, { name: 'Back' }), 'not_found')
  refusedWith(await api.delete(account.path), 'not_found')
  const { data } = (await api.get(accounts)).body
  expect(data.map(({ id }: { id: string }) => id)).not.toContain(account.id)
  const body = { name: 'K', scopes: ['clients:read'], serviceAccountId: account.id }
  const heir = refusedWith(await api.post('/api/v1/api-keys', body), 'reference_unknown')
  expect(heir.errors[0].pointer).toBe('/serviceAccountId')
})

test('of a deletion and a new key that meet, one gives way: no key outlives its account', async () => {
  for (let round = 0; round < 10; round += 1) {
    const account = await makeAccount()
    const body = { name: 'K', scopes: ['clients:read'], serviceAccountId: account.id }
    const [made, deleted] = await Promise.all([
      api.post('/api/v1/api-keys', body),
      api.delete(account.path),
    ])
    expect([made.status, deleted.status]).toBeOneOf([
      [201, 409],
      [409, 204],
    ])
  }
})

test('two changes of one revision do not both succeed, and an empty one is none', async () => {
  const account = await makeAccount({ description: 'Syncs stock', scopes: ['clients:read'] })
  const ifMatch = { 'if-match': '"1"' }
  const first = await api.patch(account.path, { description: null }, ifMatch)
  expect(first.body).toMatchObject({ description: null, scopes: ['clients:read'], revision: 2 })
  expect(first.headers.get('etag')).toBe('"2"')
  refusedWith(await api.patch(account.path, { name: 'Late' }, ifMatch), 'precondition_failed')
  expect((await api.patch(account.path, {})).body.revision).toBe(2)
  expect((await api.get(account.path)).body).toEqual(first.body)
})

test('what happens to an account is told, and written down with the key that did it', async () => {
  const { id, path } = await makeAccount()
  await api.patch(path, { status: 'DISABLED' })
  await api.delete(path)
  await world.drain()
  const { data } = (await api.get('/api/v1/events?sort=position&limit=200')).body
  const told = data.filter((event: { data: { id: string } }) => event.data.id === id)
  const types = told.map(({ type, changedFields }: { type: string; changedFields?: string[] }) => [
    type,
    changedFields,
  ])
  expect(types).toEqual([
    ['service_account.created', undefined],
    ['service_account.updated', ['status']],
    ['service_account.deleted', undefined],
  ])
  const audit = await world.query(
    'select action, actor_type, actor_id from audit where resource_id = $1 order by id',
    [id],
  )
  const me = (await api.get('/api/v1/me')).body.key.id
  expect(audit).toEqual(
    types.map(([action]: [string]) => ({ action, actor_type: 'API_KEY', actor_id: me })),
  )
})

test('keys are listed by account and by state', async () => {
  const account = await makeAccount()
  const resting = await makeAccount()
  const active = await makeKey(account.id)
  const revoked = await makeKey(account.id)
  const disabled = await makeKey(resting.id)
  const expired = await makeKey(account.id)
  await api.post(`${revoked.path}/revocation`)
  await api.patch(resting.path, { status: 'DISABLED' })
  const soon = new Date(world.ctx.clock.now().getTime() + 60_000).toISOString()
  await api.patch(expired.path, { expiresAt: soon })
  world.step(60_000)
  const ids = async (query: string) =>
    (await api.get(`/api/v1/api-keys?limit=200&${query}`)).body.data.map(
      ({ id }: { id: string }) => id,
    )
  const of = `serviceAccountId=${account.id}`
  expect(await ids(of)).toEqual([expired.id, revoked.id, active.id])
  expect(await ids(`${of}&status=ACTIVE`)).toEqual([active.id])
  expect(await ids(`${of}&status=REVOKED`)).toEqual([revoked.id])
  expect(await ids(`${of}&status=EXPIRED`)).toEqual([expired.id])
  expect(await ids(`${of}&status=DISABLED`)).toEqual([])
  expect(await ids('status=DISABLED')).toContain(disabled.id)
  for (const status of ['ACTIVE', 'REVOKED', 'EXPIRED', 'DISABLED']) {
    const shown = (await api.get(`/api/v1/api-keys?limit=200&status=${status}`)).body.data
    expect(new Set(shown.map((key: { status: string }) => key.status))).toEqual(new Set([status]))
  }
  refusedWith(await api.get('/api/v1/api-keys?status=LOST'), 'invalid_request')
})
