import { afterAll, beforeAll, expect, test } from 'vitest'
import { warnOfExpiry } from '#api-keys/expiry.task.ts'
import { warningDue } from '#api-keys/expiry.ts'
import { type Api, startWorld, type World } from '../world.ts'

const hourMs = 60 * 60 * 1_000
const dayMs = 24 * hourMs

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const inDays = (days: number) =>
  new Date(world.ctx.clock.now().getTime() + days * dayMs).toISOString()

async function aKey(api: Api, expiresAt?: string): Promise<string> {
  const { body } = await api.post('/api/v1/api-keys', {
    name: 'K',
    scopes: ['clients:read'],
    ...(expiresAt && { expiresAt }),
  })
  return `/api/v1/api-keys/${body.id}`
}

const warnedOf = async (api: Api) =>
  (await api.get('/api/v1/events?eventType=api_key.expiring')).body.data.map(
    ({ data }: { data: { id: string } }) => `/api/v1/api-keys/${data.id}`,
  )

test('which warning a key’s end calls for', () => {
  const now = new Date('2026-03-01T00:00:00Z')
  const at = (days: number) => new Date(now.getTime() + days * dayMs)
  expect([20, 14, 13, 3, 2.9, 1, 0.1].map((days) => warningDue(at(days), now))).toEqual([
    undefined,
    14,
    14,
    3,
    3,
    1,
    1,
  ])
  expect([warningDue(null, now), warningDue(now, now), warningDue(at(-1), now)]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
})

test('a tenant hears fourteen, three and one day before a key stops working, each once', async () => {
  const api = await world.newTenant()
  const key = await aKey(api, inDays(20))
  const heard: number[] = []
  for (const days of [0, 5, 7, 11, 17.5, 18, 19.5]) {
    world.step(days * dayMs)
    await Promise.all([warnOfExpiry(world.ctx), warnOfExpiry(world.ctx)])
    await warnOfExpiry(world.ctx)
    heard.push((await warnedOf(api)).length)
    world.step(-days * dayMs)
  }
  expect(heard).toEqual([0, 0, 1, 1, 2, 2, 3])
  const { body } = await api.get('/api/v1/events?eventType=api_key.expiring&limit=1')
  expect(body.data[0].data).toEqual((await api.get(key)).body)
})

test('a key whose end is moved is warned of anew; revoked and endless ones are not', async () => {
  const api = await world.newTenant()
  const moved = await aKey(api, inDays(2))
  const revoked = await aKey(api, inDays(2))
  await aKey(api)
  await api.post(`${revoked}/revocation`)
  await warnOfExpiry(world.ctx)
  expect(await warnedOf(api)).toEqual([moved])
  await api.patch(moved, { expiresAt: inDays(10) })
  await warnOfExpiry(world.ctx)
  await warnOfExpiry(world.ctx)
  expect(await warnedOf(api)).toEqual([moved, moved])
})
