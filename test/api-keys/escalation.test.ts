import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'], env: { UBOS_TRUST_PROXY: '127.0.0.1' } })
  api = await world.newTenant()
})
afterAll(() => world.stop())

async function makeKey(body: object): Promise<{ id: string; key: string }> {
  return (await api.post('/api/v1/api-keys', body)).body
}

test('a narrow key neither prolongs, cuts down, rotates nor revokes a broader one', async () => {
  const broad = await makeKey({ name: 'broad', scopes: ['*'] })
  const narrow = world.callsWith(
    (await makeKey({ name: 'narrow', scopes: ['api_keys:write'] })).key,
  )
  const path = `/api/v1/api-keys/${broad.id}`
  refusedWith(await narrow.patch(path, { expiresAt: null }), 'scope_escalation')
  refusedWith(await narrow.patch(path, { scopes: ['api_keys:write'] }), 'scope_escalation')
  refusedWith(await narrow.post(`${path}/rotations`, {}), 'scope_escalation')
  refusedWith(await narrow.post(`${path}/revocation`), 'scope_escalation')
  expect((await world.callsWith(broad.key).get('/api/v1/me')).status).toBe(200)
})

test('a rotation without overlap ends every secret before it', async () => {
  const first = await makeKey({ name: 'rotated', scopes: ['clients:read'] })
  const path = `/api/v1/api-keys/${first.id}/rotations`
  const second = (await api.post(path, {})).body
  const third = (await api.post(path, { overlapSeconds: 0 })).body
  expect((await world.callsWith(third.key).get('/api/v1/me')).status).toBe(200)
  await world.step(1_000)
  for (const { key } of [first, second]) {
    await expect.poll(async () => (await world.callsWith(key).get('/api/v1/me')).status).toBe(401)
  }
})

test('a key that was revoked a moment ago leaves no successor', async () => {
  const doomed = await makeKey({ name: 'doomed', scopes: ['*'] })
  const holder = world.callsWith(doomed.key)
  expect((await holder.get('/api/v1/me')).status).toBe(200)
  expect((await api.post(`/api/v1/api-keys/${doomed.id}/revocation`)).status).toBe(200)
  refusedWith(await holder.post('/api/v1/api-keys', { name: 'heir', scopes: ['*'] }), 'key_revoked')
})

const here = { 'x-forwarded-for': '203.0.113.7' }
const path = '/api/v1/api-keys'
const fromNow = (ms: number) => new Date(world.ctx.clock.now().getTime() + ms).toISOString()
const dayMs = 24 * 60 * 60 * 1_000

test('a key that is bound to addresses opens no way around them: not by a new key, nor by an old one', async () => {
  const scopes = ['api_keys:write', 'clients:read', 'payments:read']
  const bound = await makeKey({ name: 'bound', scopes, allowedIps: ['203.0.113.0/24'] })
  const free = await makeKey({ name: 'free', scopes: ['clients:read'] })
  const inside = await makeKey({
    name: 'in',
    scopes: ['clients:read'],
    allowedIps: ['203.0.113.9'],
  })
  const calls = world.callsWith(bound.key)
  const post = (to: string, body: object) => calls.post(to, body, here)
  const patch = (id: string, body: object) => calls.patch(`${path}/${id}`, body, here)
  const heir = { name: 'heir', scopes: ['clients:read'] }
  for (const allowedIps of [
    undefined,
    null,
    [],
    ['203.0.0.0/16'],
    ['203.0.113.7', '198.51.100.1'],
  ]) {
    const { errors } = refusedWith(await post(path, { ...heir, allowedIps }), 'key_escalation')
    expect(errors[0].pointer).toBe('/allowedIps')
  }
  expect((await post(path, { ...heir, allowedIps: ['203.0.113.7'] })).status).toBe(201)

  // Whoever holds the free key's secret could use the new scope from anywhere.
  const widened = { scopes: ['clients:read', 'payments:read'] }
  refusedWith(await patch(free.id, widened), 'key_escalation')
  refusedWith(await patch(free.id, { expiresAt: fromNow(dayMs), ...widened }), 'key_escalation')
  refusedWith(await patch(inside.id, { allowedIps: null }), 'key_escalation')
  refusedWith(await patch(inside.id, { allowedIps: ['198.51.100.1'] }), 'key_escalation')
  refusedWith(await patch(bound.id, { allowedIps: null }), 'key_escalation')
  refusedWith(await post(`${path}/${free.id}/rotations`, {}), 'key_escalation')
  expect((await patch(free.id, { name: 'renamed' })).status).toBe(200)
  expect((await patch(free.id, { allowedIps: ['198.51.100.1'] })).status, 'narrowed').toBe(200)
  expect((await patch(inside.id, widened)).status).toBe(200)
  expect((await post(`${path}/${inside.id}/rotations`, {})).status).toBe(201)
  expect((await post(`${path}/${bound.id}/rotations`, {})).status, 'itself').toBe(201)
  expect(
    (await calls.post(`${path}/${free.id}/revocation`, undefined, here)).status,
    'in an emergency',
  ).toBe(200)
})

test('a key that ends leaves none behind that lives longer', async () => {
  const scopes = ['api_keys:write', 'clients:read']
  const mortal = await makeKey({ name: 'mortal', scopes, expiresAt: fromNow(dayMs) })
  const other = await makeKey({ name: 'other', scopes: ['clients:read'] })
  const calls = world.callsWith(mortal.key)
  const heir = { name: 'heir', scopes: ['clients:read'] }
  for (const expiresAt of [undefined, fromNow(2 * dayMs)]) {
    const { errors } = refusedWith(await calls.post(path, { ...heir, expiresAt }), 'key_escalation')
    expect(errors[0].pointer).toBe('/expiresAt')
  }
  const made = await calls.post(path, { ...heir, expiresAt: fromNow(dayMs / 2) })
  expect(made.status).toBe(201)
  const late = { expiresAt: fromNow(2 * dayMs) }
  refusedWith(await calls.patch(`${path}/${made.body.id}`, late), 'key_escalation')
  refusedWith(await calls.patch(`${path}/${mortal.id}`, late), 'key_escalation')
  refusedWith(await calls.patch(`${path}/${mortal.id}`, { expiresAt: null }), 'key_escalation')
  refusedWith(await calls.post(`${path}/${other.id}/rotations`, {}), 'key_escalation')
  expect((await calls.patch(`${path}/${other.id}`, late)).status, 'sooner than never').toBe(200)
})

test('a key of a service account makes, widens and takes over keys of that account only', async () => {
  const account = async (name: string) =>
    (await api.post('/api/v1/service-accounts', { name })).body.id as string
  const [own, foreign] = [await account('own'), await account('foreign')]
  const scopes = ['api_keys:write', 'service_accounts:write', 'clients:read', 'payments:read']
  const member = await makeKey({ name: 'member', scopes, serviceAccountId: own })
  const calls = world.callsWith(member.key)
  const heir = { name: 'heir', scopes: ['clients:read'] }
  for (const serviceAccountId of [undefined, foreign]) {
    const refused = await calls.post(path, { ...heir, serviceAccountId })
    expect(refusedWith(refused, 'key_escalation').errors[0].pointer).toBe('/serviceAccountId')
  }
  expect((await calls.post(path, { ...heir, serviceAccountId: own })).status).toBe(201)

  for (const serviceAccountId of [undefined, foreign]) {
    const other = await makeKey({ ...heir, serviceAccountId })
    refusedWith(await calls.post(`${path}/${other.id}/rotations`, {}), 'key_escalation')
    const widened = { scopes: ['clients:read', 'payments:read'] }
    refusedWith(await calls.patch(`${path}/${other.id}`, widened), 'key_escalation')
  }
  const disable = { status: 'DISABLED' }
  refusedWith(await calls.patch(`/api/v1/service-accounts/${foreign}`, disable), 'key_escalation')
  // An account is no member's way to make another one and live on in it.
  const third = (await calls.post('/api/v1/service-accounts', { name: 'third' })).body.id
  refusedWith(await calls.post(path, { ...heir, serviceAccountId: third }), 'key_escalation')
})

test('no key is given more than its service account may have, by making or by changing it', async () => {
  const bound = { name: 'bound', scopes: ['clients:read', 'clients:write'] }
  const account = (await api.post('/api/v1/service-accounts', bound)).body.id
  for (const scopes of [['*'], ['clients:read', 'payments:read']]) {
    const body = { name: 'K', scopes, serviceAccountId: account }
    const { detail } = refusedWith(await api.post(path, body), 'scope_escalation')
    expect(detail).toContain('service account')
  }
  const key = await makeKey({ name: 'K', scopes: ['clients:read'], serviceAccountId: account })
  refusedWith(await api.patch(`${path}/${key.id}`, { scopes: ['*'] }), 'scope_escalation')
  expect((await api.patch(`${path}/${key.id}`, { scopes: ['clients:write'] })).status).toBe(200)
})

test('a key that was narrowed a moment ago hands out what it has now, not what is cached', async () => {
  const scopes = ['api_keys:write', 'clients:read', 'clients:write']
  const heir = { name: 'heir', scopes: ['clients:write'] }
  // Several, since the poll may come between one change and the call behind it.
  for (let round = 0; round < 5; round += 1) {
    const key = await makeKey({ name: 'narrowed', scopes })
    const calls = world.callsWith(key.key)
    expect((await calls.get('/api/v1/me')).status).toBe(200)
    await api.patch(`${path}/${key.id}`, { scopes: ['api_keys:write', 'clients:read'] })
    refusedWith(await calls.post(path, heir), 'scope_escalation')
  }
})

test('two programs that change the key they both use do not wait for each other in a circle', async () => {
  const key = await makeKey({ name: 'shared', scopes: ['api_keys:write'] })
  const calls = world.callsWith(key.key)
  const startedMs = performance.now()
  const names = Array.from({ length: 8 }, (_, n) => `shared ${n}`)
  const replies = await Promise.all(names.map((name) => calls.patch(`${path}/${key.id}`, { name })))
  expect(replies.map(({ status }) => status)).toEqual(names.map(() => 200))
  // Postgres looks for a circle after a second; without one nobody waits that long.
  expect(performance.now() - startedMs).toBeLessThan(1_000)
})
