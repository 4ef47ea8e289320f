import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Context } from '#context.ts'
import { keyringFrom } from '#secrets/keyring.ts'
import { newApiKey } from '#secrets/token.ts'
import { until } from '../db/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { startSecond } from './second-process.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

async function makeKey(api: Api): Promise<{ id: string; key: string }> {
  const scopes = ['clients:read']
  return (await api.post('/api/v1/api-keys', { name: 'Made for a test', scopes })).body
}

const revoke = (api: Api, id: string) => api.post(`/api/v1/api-keys/${id}/revocation`)

/** A context that keeps the texts of the reads outside tenants, but for those of the poll. */
function counting(ctx: Context, queries: string[]): Context {
  const { readers } = ctx.db
  const query: typeof readers.query = (text, values) => {
    if (!text.includes('key_change')) queries.push(text)
    return readers.query(text, values)
  }
  return { ...ctx, db: { ...ctx.db, readers: { ...readers, query } } }
}

test('junk costs no query, whatever it looks like; a good key is looked up once', async () => {
  const queries: string[] = []
  const other = keyringFrom(Buffer.alloc(32, 8).toString('base64'))
  const good = await makeKey(world.api)
  const last = good.key.endsWith('a') ? 'b' : 'a'
  const junk = [
    'x',
    'ubk_live_',
    good.key.slice(0, -1),
    `${good.key}a`,
    `${good.key.slice(0, -1)}${last}`,
    good.key.toUpperCase(),
    good.key.replace('ubk_test_', 'ubk_live_'),
    good.key.replace('ubk_test_', 'ubk_op_'),
    `ubk_live_${randomBytes(40).toString('base64').replaceAll(/\W/g, 'x').slice(0, 49)}`,
    newApiKey(other, 'live', randomBytes).key,
    'a'.repeat(8_000),
  ]
  const second = await startSecond(world, (ctx) => counting(ctx, queries))
  for (const key of junk) expect(await second.statusFor(key), key).toBe(401)
  expect(queries).toEqual([])

  expect(await second.statusFor(good.key)).toBe(200)
  expect(queries).toHaveLength(1)
  await until(() => isCached(second, good.key, queries))
  await second.stop()
})

/** Whether another call with the key needs no query. */
async function isCached(second: Second, key: string, queries: string[]): Promise<boolean> {
  const before = queries.length
  await second.statusFor(key)
  return queries.length === before
}
type Second = Awaited<ReturnType<typeof startSecond>>

test('without a key, with another scheme, or with the key in the query string nobody comes in', async () => {
  const { key } = world.api
  const bare = world.callsWith('')
  for (const headers of [{}, { authorization: key }, { authorization: `Basic ${key}` }]) {
    const reply = await bare.get('/api/v1/me', headers as Record<string, string>)
    refusedWith(reply, 'unauthorized')
    expect(reply.headers.get('www-authenticate')).toBe('Bearer')
  }
  refusedWith(await bare.get(`/api/v1/me?key=${key}`), 'unauthorized')
  expect((await bare.get('/api/v1/me', { authorization: `bearer  ${key}` })).status).toBe(200)
})

/** Calls until `forMs` have gone by; answers what was answered to calls that began after `sinceMs`. */
async function callsDuring(second: Second, key: string, forMs: number, sinceMs: number) {
  const startMs = performance.now()
  const statuses: number[] = []
  while (performance.now() - startMs < forMs) {
    const begunMs = performance.now() - startMs
    const status = await second.statusFor(key)
    if (begunMs >= sinceMs) statuses.push(status)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return statuses
}

test('a revocation is effective in every process within a second', async () => {
  const api = await world.newTenant()
  const second = await startSecond(world)
  const { id, key } = await makeKey(api)
  expect(await second.statusFor(key, '/api/v1/clients')).toBe(200)
  expect((await world.callsWith(key).get('/api/v1/clients')).status).toBe(200)

  expect((await revoke(api, id)).body.status).toBe('REVOKED')
  const later = await callsDuring(second, key, 1_300, 1_000)
  expect(later.length).toBeGreaterThan(0)
  expect(new Set(later)).toEqual(new Set([401]))
  refusedWith(await world.callsWith(key).get('/api/v1/clients'), 'key_revoked')
  await second.stop()
})

test('a process that has a long way to catch up with uses no cached key until it has', async () => {
  const api = await world.newTenant()
  await world.query(`
    with head as (update key_change_head set position = position + 20000 returning position)
    insert into key_change (position, api_key_id, changed_at)
    select position - 20000 + n, 'key_other', now() from head, generate_series(1, 20000) as n`)
  const second = await startSecond(world)
  const { id, key } = await makeKey(api)
  const warm = await callsDuring(second, key, 300, 0)
  expect(new Set(warm)).toEqual(new Set([200]))

  await revoke(api, id)
  const later = await callsDuring(second, key, 1_300, 1_000)
  expect(new Set(later)).toEqual(new Set([401]))
  await second.stop()
})

test('a process that cannot poll uses no cached key, and forgets all when it missed changes', async () => {
  const api = await world.newTenant()
  const queries: string[] = []
  const second = await startSecond(world, (ctx) => counting(ctx, queries))
  const { id, key } = await makeKey(api)
  await until(() => isCached(second, key, queries))
  await world.query('update api_key set revoked_at = now() where id = $1', [id])
  expect(await second.statusFor(key), 'the cache stands between').toBe(200)

  await world.query('revoke select on key_change from ubos_api')
  await until(async () => (await second.statusFor(key)) === 401)
  // The change came and was pruned while nobody was looking; the next poll finds only a gap.
  await world.query('update key_change_head set position = position + 1')
  await world.query('grant select on key_change to ubos_api')
  const after = await callsDuring(second, key, 1_000, 0)
  expect(new Set(after)).toEqual(new Set([401]))
  await until(() => isCached(second, key, queries))
  await second.stop()
})
