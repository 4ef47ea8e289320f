import { afterAll, beforeAll, expect, test } from 'vitest'
import { usualLimits } from '#http/limit.ts'
import { startSecond } from '../api-keys/second-process.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { exhaust, fewCalls, limitKeys, startMisbehaving, stoppedClock } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

/** A tenant with its place among the operator's: where its limits are. */
async function aLimitedTenant(patch: object) {
  const { body } = await world.operator.post('/api/v1/organizations', { name: 'Limited' })
  const sandbox = body.adminKeys[1]
  const path = `/api/v1/organizations/${body.id}/tenants/${sandbox.tenantId}/limits`
  const changed = await world.operator.patch(path, patch)
  expect(changed.status).toBe(200)
  return { api: world.callsWith(sandbox.key), path, limits: changed.body }
}

const few = (quota: number, windowSeconds = 3_600) => ({ quota, windowSeconds })

/** How many of `count` calls, sent at once, were let through. */
async function letThrough(count: number, call: () => Promise<number>): Promise<number> {
  const statuses = await Promise.all(Array.from({ length: count }, call))
  return statuses.filter((status) => status !== 429).length
}

test('a key that calls too often is told when to come back, while others are served', async () => {
  const { clock, step } = stoppedClock()
  const api = await world.newTenant()
  const make = async () => {
    const made = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['clients:read'] })
    return made.body.key
  }
  const [greedy, modest] = [await make(), await make()]
  await limitKeys(world, api)
  const second = await startSecond(world, (ctx) => ({ ...ctx, clock }))

  const refused = await exhaust(second.url, greedy)
  expect(refused.headers.get('ratelimit')).toMatch(/^"read";r=0;t=10, "tenant-read";r=\d{4};t=\d$/)
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(await refused.json()).toMatchObject({
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    code: 'quota_exceeded',
    status: 429,
    'violated-policies': ['read'],
  })
  expect(await second.statusFor(greedy)).toBe(429)
  expect(await second.statusFor(modest)).toBe(200)
  expect(await second.statusFor(api.key)).toBe(200)

  step(1_000)
  const perSecond = fewCalls.quota / fewCalls.windowSeconds
  const again = await letThrough(perSecond + 20, () => second.statusFor(greedy))
  expect(again).toBe(perSecond)
  await second.stop()
})

test('reading does not use up what may be written, and each operation has its cost', async () => {
  const { api } = await aLimitedTenant({ key: { read: few(3), write: few(5) } })
  const create = () => api.post('/api/v1/clients', { name: 'Ada', currency: 'EUR' })
  const first = await create()
  expect(first.headers.get('ratelimit-policy')).toContain('"write";q=5;w=3600')
  expect(first.headers.get('ratelimit')).toContain('"write";r=3;t=1440')
  expect((await create()).status).toBe(201)
  const refused = await create()
  expect(refusedWith(refused, 'quota_exceeded')['violated-policies']).toEqual(['write'])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(700)
  expect(await letThrough(5, async () => (await api.get('/api/v1/me')).status)).toBe(3)
})

test('all keys of a tenant together, and one operation alone, can have a limit', async () => {
  const { api } = await aLimitedTenant({
    tenant: { read: few(4) },
    operations: { listEvents: few(1) },
  })
  const { key } = (await api.post('/api/v1/api-keys', { name: 'K', scopes: ['*'] })).body
  const other = world.callsWith(key)
  expect((await api.get('/api/v1/events')).status).toBe(200)
  const again = refusedWith(await other.get('/api/v1/events'), 'quota_exceeded')
  expect(again['violated-policies']).toEqual(['listEvents'])
  const both = async (calls: Api) => (await calls.get('/api/v1/me')).status
  expect(await letThrough(2, () => both(api))).toBe(2)
  expect(await letThrough(2, () => both(other))).toBe(1)
  const tired = refusedWith(await api.get('/api/v1/me'), 'quota_exceeded')
  expect(tired['violated-policies']).toEqual(['tenant-read'])
})

test('a refused call is not counted, and a bad one is', async () => {
  const { api } = await aLimitedTenant({ key: { read: few(2) } })
  expect((await api.get('/api/v1/clients/nonsense')).status).toBe(400)
  expect((await api.get('/api/v1/me')).status).toBe(200)
  const refusals = await letThrough(20, async () => (await api.get('/api/v1/me')).status)
  expect(refusals).toBe(0)
  expect((await api.post('/api/v1/clients', { name: 'Ada', currency: 'EUR' })).status).toBe(201)
})

test('processes share a quota, and overshoot it by a tenth for each of them at most', async () => {
  const { api } = await aLimitedTenant({ key: { read: few(200) } })
  const others = [await startSecond(world), await startSecond(world)]
  const urls = [world.url, ...others.map((other) => other.url)]
  let [sent, through] = [0, 0]
  async function callTwelveTimes(): Promise<void> {
    for (let turn = 0; turn < 12; turn += 1) {
      sent += 1
      const headers = { authorization: `Bearer ${api.key}` }
      const response = await fetch(`${urls[sent % urls.length]}/api/v1/me`, { headers })
      await response.arrayBuffer()
      if (response.status === 200) through += 1
    }
  }
  await Promise.all(Array.from({ length: 50 }, callTwelveTimes))
  expect(sent).toBe(600)
  expect(through).toBeGreaterThanOrEqual(200)
  expect(through).toBeLessThanOrEqual(200 + 3 * 20 + 1)
  for (const other of others) await other.stop()
})

test('while the database cannot share quotas, each process holds to them alone', async () => {
  const { api } = await aLimitedTenant({ key: { read: few(30) } })
  await world.query('alter table quota_spent rename to quota_elsewhere')
  expect(await letThrough(60, async () => (await api.get('/api/v1/me')).status)).toBe(30)
  await world.query('alter table quota_elsewhere rename to quota_spent')
})

test('a tenant has so many calls at the same time, and leaves its place when one ends', async () => {
  const { api } = await aLimitedTenant({ concurrent: 2 })
  const waiting: (() => void)[] = []
  const slow = await startMisbehaving(world, {
    getMe: () => new Promise((_, reject) => waiting.push(() => reject(new Error('let go')))),
  })
  const call = () =>
    fetch(`${slow.url}/api/v1/me`, { headers: { authorization: `Bearer ${api.key}` } })
  const inside = [call(), call()]
  await until(() => waiting.length === 2)
  const refused = await call()
  expect(refused.status).toBe(429)
  expect(await refused.json()).toMatchObject({ 'violated-policies': ['concurrent'] })
  expect(refused.headers.get('ratelimit-policy')).toContain(
    '"concurrent";q=2;qu="concurrent-requests"',
  )
  for (const letGo of waiting.splice(0)) letGo()
  for (const reply of inside) expect((await reply).status).toBe(500)
  const next = call()
  await until(() => waiting.length === 1)
  waiting[0]?.()
  expect((await next).status).toBe(500)
  await slow.stop()
})

test('new limits hold in every process within a second, and null brings the usual back', async () => {
  const { api, path, limits } = await aLimitedTenant({ key: { read: few(1) }, concurrent: 9 })
  expect(limits).toEqual({
    ...usualLimits,
    key: { ...usualLimits.key, read: few(1) },
    concurrent: 9,
    revision: 2,
  })
  const { operator } = world
  expect((await operator.get(path)).body).toEqual(limits)
  expect((await api.get('/api/v1/limits')).body).toEqual(limits)
  const second = await startSecond(world)
  await until(async () => (await second.statusFor(api.key)) === 429)

  refusedWith(await operator.patch(path, {}, { 'if-match': '"1"' }), 'precondition_failed')
  const patch = { key: { read: null }, concurrent: null }
  const usual = await operator.patch(path, patch, { 'if-match': '"2"' })
  expect(usual.body).toEqual({ ...usualLimits, revision: 3 })
  await until(async () => (await second.statusFor(api.key)) === 200)
  await second.stop()
})

test('limits are for operators to set, of tenants that exist and operations that exist', async () => {
  const { api, path } = await aLimitedTenant({ concurrent: 10 })
  refusedWith(await api.patch(path, { concurrent: 1_000 }), 'insufficient_scope')
  const { operator } = world
  const elsewhere = path.replace(/org_\w+/, `org_${'0'.repeat(26)}`)
  refusedWith(await operator.get(elsewhere), 'not_found')
  const other = (await world.operator.post('/api/v1/organizations', { name: 'B' })).body
  refusedWith(await operator.get(path.replace(/org_\w+/, other.id)), 'not_found')
  const nowhere = await operator.patch(path, { operations: { flyAway: few(1) } })
  expect(refusedWith(nowhere, 'invalid_request').errors[0].pointer).toBe('/operations/flyAway')
  for (const wrong of [
    { quota: 0, windowSeconds: 1 },
    { quota: 1 },
    { quota: 1.5, windowSeconds: 1 },
  ]) {
    refusedWith(await operator.patch(path, { key: { read: wrong } }), 'invalid_request')
  }
  expect((await operator.get(path)).body.concurrent).toBe(10)
})
