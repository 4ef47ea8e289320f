import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTally } from '#api-keys/tally.ts'
import { runWriter } from '#api-keys/writer.ts'
import type { Context } from '#context.ts'
import { makePartitions } from '#db/partitions.sql.ts'
import { pruneKeyRecords } from '#retention/prune.sql.ts'
import { tenantOf, until } from '../db/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { startSecond } from './second-process.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'], env: { UBOS_TRUST_PROXY: '127.0.0.1' } })
  api = await world.newTenant()
})
afterAll(() => world.stop())

const dayMs = 24 * 60 * 60 * 1_000

async function makeKey(scopes: string[]): Promise<{ id: string; key: string; path: string }> {
  const { body } = await api.post('/api/v1/api-keys', { name: 'K', scopes })
  return { id: body.id, key: body.key, path: `/api/v1/api-keys/${body.id}` }
}

const usageOf = async (path: string, query = '') => (await api.get(`${path}/usage${query}`)).body

/** The usage once all calls are written down. */
async function countedUsage(path: string, calls: number) {
  return await until(async () => {
    const usage = await usageOf(path)
    return usage.calls === calls && usage
  })
}

test('it is known when and from where a key was last used, how often for what, and what it never did', async () => {
  const key = await makeKey(['clients:read', 'payments:read', 'payments:write'])
  const calls = world.callsWith(key.key)
  expect((await api.get(key.path)).body).toMatchObject({ lastUsedAt: null, lastUsedIp: null })
  expect(await usageOf(key.path)).toMatchObject({ calls: 0, days: [], operations: [] })

  const today = world.ctx.clock.now().toISOString().slice(0, 10)
  for (const ip of ['203.0.113.7', '203.0.113.8', '203.0.113.9']) {
    await calls.get('/api/v1/clients', { 'x-forwarded-for': ip })
  }
  await calls.get('/api/v1/payments', { 'x-forwarded-for': '203.0.113.10' })
  await calls.get('/api/v1/me', { 'x-forwarded-for': '203.0.113.10' })
  refusedWith(await calls.get('/api/v1/proposals'), 'insufficient_scope')
  const usage = await countedUsage(key.path, 6)
  expect(usage).toMatchObject({
    apiKeyId: key.id,
    until: today,
    days: [{ date: today, calls: 6 }],
    operations: [
      { operationId: 'listClients', scopes: ['clients:read'], calls: 3, lastUsedOn: today },
      { operationId: 'getMe', scopes: [], calls: 1, lastUsedOn: today },
      { operationId: 'listPayments', scopes: ['payments:read'], calls: 1, lastUsedOn: today },
      { operationId: 'listProposals', scopes: ['proposals:read'], calls: 1, lastUsedOn: today },
    ],
    scopes: [
      { scope: 'clients:read', calls: 3 },
      { scope: 'payments:read', calls: 1 },
      { scope: 'payments:write', calls: 0 },
    ],
    unusedScopes: ['payments:write'],
  })
  const shown = (await api.get(key.path)).body
  expect(shown.lastUsedIp).toBe('127.0.0.1')
  expect(Date.parse(shown.lastUsedAt)).toBeGreaterThan(Date.parse(shown.createdAt) - 1)
  const listed = (await api.get('/api/v1/api-keys')).body.data
  expect(listed.find(({ id }: { id: string }) => id === key.id)).toEqual(shown)
})

test('days are counted apart, for as many as are asked for, and for 90 at most', async () => {
  const key = await makeKey(['clients:read'])
  const calls = world.callsWith(key.key)
  await calls.get('/api/v1/clients')
  world.step(dayMs)
  await calls.get('/api/v1/clients')
  await calls.get('/api/v1/clients')
  const usage = await countedUsage(key.path, 3)
  expect(usage.days.map((day: { calls: number }) => day.calls)).toEqual([1, 2])
  const [yesterday, today] = usage.days.map(({ date }: { date: string }) => date)
  expect(await usageOf(key.path, '?days=1')).toMatchObject({ since: today, until: today, calls: 2 })
  expect(await usageOf(key.path, '?days=2')).toMatchObject({ since: yesterday, calls: 3 })
  for (const days of [0, 91]) {
    refusedWith(await api.get(`${key.path}/usage?days=${days}`), 'invalid_request')
  }
  refusedWith(await world.api.get(`${key.path}/usage`), 'not_found')
  refusedWith(await world.api.get(`${key.path}/risk`), 'not_found')
})

test('while an old secret works on, it is known whether some program still has it', async () => {
  const key = await makeKey(['clients:read'])
  const previous = async () => (await api.get(key.path)).body.previousSecret
  await world.callsWith(key.key).get('/api/v1/clients')
  await countedUsage(key.path, 1)
  expect(await previous()).toBeNull()

  const rotation = { overlapSeconds: 600 }
  const rotated = (await api.post(`${key.path}/rotations`, rotation)).body
  expect(rotated.rotatedAt).toBe(rotated.updatedAt)
  const expiresAt = new Date(Date.parse(rotated.rotatedAt) + 600_000).toISOString()
  expect(await previous()).toEqual({ expiresAt, lastUsedAt: null })
  await world.callsWith(rotated.key).get('/api/v1/clients')
  await countedUsage(key.path, 2)
  expect((await previous()).lastUsedAt, 'the new one does not count').toBeNull()

  // The process that has cached the old secret as the present one hears of the rotation.
  await until(async () => {
    await world.callsWith(key.key).get('/api/v1/clients')
    return (await previous()).lastUsedAt !== null
  })
  world.step(1_000)
  await api.post(`${key.path}/rotations`, rotation)
  expect((await previous()).lastUsedAt, 'a use before the rotation is of another').toBeNull()
  world.step(600_000)
  expect(await previous()).toBeNull()
})

test('what was counted is written down before a process ends, and added to what others counted', async () => {
  const key = await makeKey(['clients:read'])
  for (let n = 1; n <= 2; n += 1) {
    const second = await startSecond(world)
    expect(await second.statusFor(key.key, '/api/v1/clients')).toBe(200)
    await second.stop()
    expect((await usageOf(key.path)).calls).toBe(n)
  }
})

test('what cannot be written down is kept, and written when it can be', async () => {
  const key = await makeKey(['clients:read'])
  const tenantId = await tenantOf(api)
  const tally = createTally()
  const writer = runWriter(world.ctx, tally)
  const now = world.ctx.clock.now()
  const who = { tenantId, keyId: key.id, now, ip: null }
  tally.use({ ...who, operationId: 'listClients', isPreviousSecret: false })
  tally.refuse({ ...who, kind: 'KEY_REFUSED_IP' })
  await world.query('revoke insert on api_key_usage from ubos_worker')
  await world.query('revoke insert on api_security_event from ubos_api')
  await expect(writer.write()).rejects.toThrow('permission denied')
  tally.use({ ...who, operationId: 'listClients', isPreviousSecret: false })
  await world.query('grant insert on api_key_usage to ubos_worker')
  await world.query('grant insert on api_security_event to ubos_api')
  await writer.stop()
  expect((await usageOf(key.path)).calls).toBe(2)
  const list = `/api/v1/api-security-events?apiKeyId=${key.id}&kind=KEY_REFUSED_IP`
  expect((await api.get(list)).body.data).toMatchObject([{ count: 1 }])
})

test('no call waits for the counting, nor fails, while the counts cannot be written', async () => {
  const key = await makeKey(['clients:read'])
  const calls = world.callsWith(key.key)
  await world.query('revoke insert on api_key_usage from ubos_worker')
  for (let n = 0; n < 5; n += 1) expect((await calls.get('/api/v1/clients')).status).toBe(200)
  expect((await usageOf(key.path)).calls).toBe(0)
  await world.query('grant insert on api_key_usage to ubos_worker')
  await until(async () => (await usageOf(key.path)).calls === 5, 15_000)
})

test('a key’s row is never locked or written by its use', async () => {
  const key = await makeKey(['clients:read'])
  const version = async () =>
    (
      await world.query<{ v: string }>(
        'select concat(xmin, xmax, ctid) as v from api_key where id = $1',
        [key.id],
      )
    )[0]?.v
  const before = await version()
  await world.callsWith(key.key).get('/api/v1/clients')
  await countedUsage(key.path, 1)
  expect(await version()).toBe(before)
})

test('two processes that write the same counters at once lose none and do not block each other', async () => {
  const tenantId = await tenantOf(api)
  const keys = Array.from({ length: 200 }, (_, n) => `key_${String(n).padStart(26, '0')}`)
  const work = async (order: readonly string[]) => {
    const tally = createTally()
    const writer = runWriter(world.ctx, tally)
    for (let round = 0; round < 5; round += 1) {
      for (const keyId of order) {
        const now = world.ctx.clock.now()
        const use = { tenantId, keyId, now, ip: null, isPreviousSecret: false }
        tally.use({ ...use, operationId: 'listClients' })
        tally.use({ ...use, operationId: 'getClient' })
      }
      await writer.write()
    }
    await writer.stop()
  }
  await Promise.all([work(keys), work([...keys].reverse())])
  const [sum] = await world.query(
    'select count(*)::int as rows, sum(calls)::int as calls from api_key_usage where api_key_id = any ($1)',
    [keys],
  )
  expect(sum).toEqual({ rows: 400, calls: 4_000 })
})

test('counts are forgotten after 90 days, and security events after 400', async () => {
  const key = await makeKey(['clients:read'])
  await world.callsWith(key.key).get('/api/v1/clients')
  await countedUsage(key.path, 1)
  const counts = async () =>
    (await world.query('select from api_key_usage where api_key_id = $1', [key.id])).length
  const events = async () =>
    (await world.query('select from api_security_event where api_key_id = $1', [key.id])).length
  const at = (days: number): Context => {
    const now = () => new Date(world.ctx.clock.now().getTime() + days * dayMs)
    return { ...world.ctx, clock: { ...world.ctx.clock, now } }
  }
  await pruneKeyRecords(at(89))
  expect([await counts(), await events()]).toEqual([1, 1])
  await pruneKeyRecords(at(91))
  expect([await counts(), await events()]).toEqual([0, 1])
  await pruneKeyRecords(at(401))
  expect([await counts(), await events()]).toEqual([0, 0])
})

test('the risk of a key falls as its owner does what the reasons say', async () => {
  const broad = await makeKey(['*'])
  const risk = async () => (await api.get(`${broad.path}/risk`)).body
  const codes = async () =>
    (await risk()).riskReasons.map(({ code }: { code: string }) => code).sort()
  expect(await codes()).toEqual(['ALL_SCOPES', 'NO_ALLOW_LIST', 'NO_EXPIRY'])
  expect(await risk()).toMatchObject({ apiKeyId: broad.id, riskScore: 18 + 8 + 8 })

  const expiresAt = new Date(world.ctx.clock.now().getTime() + 400 * dayMs).toISOString()
  const scopes = ['clients:read', 'payments:read']
  await api.patch(broad.path, { scopes, expiresAt, allowedIps: ['127.0.0.0/8'] })
  expect(await risk()).toMatchObject({ riskScore: 0, riskReasons: [] })
  await world.callsWith(broad.key).get('/api/v1/clients')
  await countedUsage(broad.path, 1)
  world.step(29.9 * dayMs)
  expect(await codes()).toEqual([])
  world.step(dayMs)
  expect(await codes()).toEqual(['UNUSED'])
  await world.callsWith(broad.key).get('/api/v1/clients')
  await until(async () => String(await codes()) === 'UNUSED_SCOPES')
  await makePartitions(world.ctx)
  await api.patch(broad.path, { scopes: ['clients:read'] })
  expect(await codes()).toEqual([])
  world.step(60 * dayMs)
  expect(await codes()).toContain('OLD_SECRET')
  await makePartitions(world.ctx)
  await api.post(`${broad.path}/rotations`, {})
  expect(await codes()).not.toContain('OLD_SECRET')
  await api.post(`${broad.path}/revocation`)
  expect(await risk()).toMatchObject({ riskScore: 0 })
})
