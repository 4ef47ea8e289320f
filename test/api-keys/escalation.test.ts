import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
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
