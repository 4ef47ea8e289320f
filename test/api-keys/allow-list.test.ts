import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../db/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'], env: { UBOS_TRUST_PROXY: '127.0.0.1' } })
  api = await world.newTenant()
})
afterAll(() => world.stop())

const from = (ip: string) => ({ 'x-forwarded-for': ip })

async function makeKey(body: object): Promise<{ id: string; calls: Api; body: object }> {
  const reply = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['clients:read'], ...body })
  expect(reply.status).toBe(201)
  return { id: reply.body.id, calls: world.callsWith(reply.body.key), body: reply.body }
}

test('a stolen key is of no use from elsewhere, and the refusal names the address', async () => {
  const { calls } = await makeKey({ allowedIps: ['203.0.113.0/24', '2001:db8:12::/48'] })
  for (const ip of ['203.0.113.7', '::ffff:203.0.113.7', '2001:db8:12::1']) {
    expect((await calls.get('/api/v1/clients', from(ip))).status, ip).toBe(200)
  }
  for (const ip of ['198.51.100.23', '::ffff:198.51.100.23', '2001:db8:13::1']) {
    const refused = await calls.get('/api/v1/clients', from(ip))
    expect(refused.status).toBe(403)
    expect(refusedWith(refused, 'ip_not_allowed').detail).toContain(ip)
  }
  refusedWith(await calls.get('/api/v1/clients'), 'ip_not_allowed')
})

test('only a proxy that is trusted says where a call comes from: nobody writes it into a header', async () => {
  const plain = await startWorld({ parts: ['api'] })
  const made = await plain.api.post('/api/v1/api-keys', {
    name: 'K',
    scopes: ['clients:read'],
    allowedIps: ['203.0.113.7'],
  })
  const calls = plain.callsWith(made.body.key)
  const refusal = refusedWith(
    await calls.get('/api/v1/clients', from('203.0.113.7')),
    'ip_not_allowed',
  )
  expect(refusal.detail).toContain('127.0.0.1')
  await plain.stop()
})

test('a call from elsewhere learns neither which scopes the key has nor that its quota is used up', async () => {
  const { calls, id } = await makeKey({ allowedIps: ['203.0.113.7'] })
  const elsewhere = from('198.51.100.23')
  refusedWith(await calls.get('/api/v1/payments', elsewhere), 'ip_not_allowed')
  refusedWith(await calls.get('/api/v1/payments', from('203.0.113.7')), 'insufficient_scope')
  await api.post(`/api/v1/api-keys/${id}/revocation`)
  await until(
    async () => (await calls.get('/api/v1/clients', elsewhere)).body.code === 'key_revoked',
    2_000,
  )
})

test('an allow-list is set, shown in canonical form, replaced and lifted', async () => {
  const { id, calls, body } = await makeKey({
    allowedIps: ['2001:DB8::1/128', '::ffff:203.0.113.7', '203.0.113.7/32'],
  })
  expect(body).toMatchObject({ allowedIps: ['2001:db8::1', '203.0.113.7'] })
  const path = `/api/v1/api-keys/${id}`
  const moved = await api.patch(path, { allowedIps: ['198.51.100.0/24'] })
  expect(moved.body).toMatchObject({ allowedIps: ['198.51.100.0/24'], revision: 2 })
  const status = async (ip: string) => (await calls.get('/api/v1/clients', from(ip))).status
  await until(async () => (await status('198.51.100.9')) === 200, 2_000)
  expect(await status('203.0.113.7')).toBe(403)
  expect((await api.get(path)).body.allowedIps).toEqual(['198.51.100.0/24'])

  for (const nothing of [null, []]) {
    await api.patch(path, { allowedIps: ['198.51.100.0/24'] })
    expect((await api.patch(path, { allowedIps: nothing })).body.allowedIps).toEqual([])
  }
  await until(async () => (await status('203.0.113.7')) === 200, 2_000)
  expect((await makeKey({ allowedIps: null })).body).toMatchObject({ allowedIps: [] })
})

test('what is no address is refused by its place in the list, and nothing is made', async () => {
  const allowedIps = ['203.0.113.7', '999.1.1.1', '10.0.0.1/8']
  const reply = await api.post('/api/v1/api-keys', { name: 'Odd', scopes: ['*'], allowedIps })
  expect(reply.status).toBe(400)
  const { errors } = refusedWith(reply, 'invalid_request')
  expect(errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
    '/allowedIps/1',
    '/allowedIps/2',
  ])
  expect(errors[1].message).toContain('10.0.0.0/8')
  const { id } = await makeKey({})
  const patch = await api.patch(`/api/v1/api-keys/${id}`, { allowedIps: ['1.2.3'] })
  expect(refusedWith(patch, 'invalid_request').errors[0].pointer).toBe('/allowedIps/0')
  const many = Array.from({ length: 51 }, (_, n) => `10.0.0.${n}`)
  refusedWith(await api.patch(`/api/v1/api-keys/${id}`, { allowedIps: many }), 'invalid_request')
  for (const key of (await api.get('/api/v1/api-keys')).body.data) expect(key.name).not.toBe('Odd')
})

test('nobody locks out the key that they call with', async () => {
  const { id, calls } = await makeKey({ scopes: ['api_keys:write', 'clients:read'] })
  const path = `/api/v1/api-keys/${id}`
  const here = from('203.0.113.7')
  const refused = await calls.patch(path, { allowedIps: ['198.51.100.0/24'] }, here)
  expect(refused.status).toBe(409)
  expect(refusedWith(refused, 'self_lockout').detail).toContain('203.0.113.7')
  expect((await calls.patch(path, { allowedIps: ['203.0.113.0/24'] }, here)).status).toBe(200)
  expect((await api.patch(path, { allowedIps: ['198.51.100.0/24'] })).status, 'another').toBe(200)
})
