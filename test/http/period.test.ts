import { afterAll, beforeAll, expect, test } from 'vitest'
import { firstIdAt, timeOf } from '#ids.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
const made: { id: string; createdAt: string }[] = []
beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
  for (let at = 0; at < 6; at += 1) {
    made.push((await api.post('/api/v1/clients', { name: `C${at}`, currency: 'EUR' })).body)
    world.step(at === 2 ? 3_600_000 : 1_000)
  }
  await world.drain()
})
afterAll(() => world.stop())

const idsOf = async (query: string): Promise<string[]> =>
  (await api.get(`/api/v1/clients?${query}`)).body.data.map(({ id }: { id: string }) => id)

test('a list is cut from a moment on, that moment included, until another, excluded', async () => {
  const ids = made.map(({ id }) => id)
  for (const [at, { createdAt }] of made.entries()) {
    expect(await idsOf(`sort=createdAt&createdAfter=${createdAt}`)).toEqual(ids.slice(at))
    expect(await idsOf(`sort=createdAt&createdBefore=${createdAt}`)).toEqual(ids.slice(0, at))
  }
  const between = `createdAfter=${made[1]?.createdAt}&createdBefore=${made[4]?.createdAt}`
  expect(await idsOf(between)).toEqual(ids.slice(1, 4).reverse())
})

test('a row whose id was made in the minute after its date is found by its date', async () => {
  const [first] = made
  const lateId = firstIdAt('cli', timeOf(String(first?.id)) + 50_000)
  await world.query('update client set id = $1 where id = $2', [lateId, first?.id])
  expect(await idsOf(`createdBefore=${made[1]?.createdAt}`)).toEqual([lateId])
  await world.query('update client set id = $1 where id = $2', [first?.id, lateId])
})

test('a moment that is none is refused, and a cursor belongs to its period', async () => {
  refusedWith(await api.get('/api/v1/clients?createdAfter=yesterday'), 'invalid_request')
  const first = await api.get(`/api/v1/clients?limit=1&createdAfter=${made[0]?.createdAt}`)
  const cursor = first.body.nextCursor
  refusedWith(await api.get(`/api/v1/clients?limit=1&cursor=${cursor}`), 'invalid_cursor')
})

test('events are cut by when they happened, and by type, also before they have a place', async () => {
  const list = async (query: string) =>
    (await api.get(`/api/v1/events?${query}`)).body.data.map(
      (event: { data: { id: string } }) => event.data.id,
    )
  const ids = made.map(({ id }) => id)
  const since = `occurredAfter=${made[3]?.createdAt}`
  expect(await list(since)).toEqual(ids.slice(3).reverse())
  expect(await list(`${since}&eventType=client.created`)).toEqual(ids.slice(3).reverse())
  expect(await list('eventType=client.updated')).toEqual([])
  expect(await list('eventType=client.created&limit=4')).toEqual(ids.slice(2).reverse())

  await world.query(
    'insert into event_pending select tenant_id, event_id, created_on, type from event_position where event_id = (select max(event_id) from event_position where type = $1)',
    ['client.created'],
  )
  await world.query(
    'delete from event_position where event_id in (select event_id from event_pending)',
  )
  expect((await list('eventType=client.created'))[0]).toBe(ids[5])
  const wrong = refusedWith(
    await api.get(`/api/v1/events?sort=position&${since}`),
    'invalid_request',
  )
  expect(wrong.errors[0].parameter).toBe('occurredAfter')
})
