import { afterAll, beforeAll, expect, test } from 'vitest'
import { kyselyOver } from '#db/database.ts'
import { pageFeed } from '#events/event.sql.ts'
import { until } from '../jobs/until.ts'
import { anotherWorker, createClients } from '../webhooks/fixture.ts'
import { refusedWith, startWorld, type World } from '../world.ts'
import { type FeedEvent, readFeed, tenantOf } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

test('an event has no position until it is sequenced, and then keeps the one it got', async () => {
  const api = await world.newTenant()
  await createClients(api)
  const [event] = (await api.get('/api/v1/events?type=client.created')).body.data
  expect(event).toMatchObject({ type: 'client.created', position: null })
  expect((await readFeed(api)).events).toEqual([])

  const worker = anotherWorker(world)
  const path = `/api/v1/events/${event.id}`
  await until(async () => (await api.get(path)).body.position !== null)
  const { body } = await api.get(path)
  expect(body).toEqual({ ...event, position: body.position })
  const { events } = await readFeed(api)
  expect(events.find(({ id }) => id === event.id)).toEqual(body)
  await worker.stop()
})

test('a list shows events newest first, page by page, each once, and then ends', async () => {
  const api = await world.newTenant()
  await createClients(api, 12)
  const ids: string[] = []
  let cursor = ''
  do {
    const { body } = await api.get(`/api/v1/events?limit=5&type=client.created${cursor}`)
    ids.push(...body.data.map(({ id }: { id: string }) => id))
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
    // What happens meanwhile is newer than the page, and moves nothing.
    if (cursor) await createClients(api)
  } while (cursor)
  expect(ids).toHaveLength(12)
  expect(ids).toEqual(ids.toSorted().reverse())
  expect(new Set(ids).size).toBe(12)
})

test('a page ends early where its events are long, in either order, and the next ones tell the rest', async () => {
  const api = await world.newTenant()
  const worker = anotherWorker(world)
  await createClients(api, 30)
  await world.drain()
  await world.query(
    `update event set body = convert_to(jsonb_set(convert_from(body, 'utf8')::jsonb,
       '{data,name}', to_jsonb(repeat('x', 200000)))::text, 'utf8')
     where type = 'client.created' and tenant_id = $1`,
    [await tenantOf(api)],
  )
  for (const query of ['', '&type=client.created', '&sort=position&type=client.created']) {
    const pages: string[][] = []
    for (let cursor = ''; pages.flat().length < 30; ) {
      const { body } = await api.get(`/api/v1/events?limit=200${query}${cursor}`)
      expect(JSON.stringify(body).length).toBeLessThan(1_500_000)
      const created = body.data.filter(({ type }: FeedEvent) => type === 'client.created')
      pages.push(created.map(({ id }: FeedEvent) => id))
      cursor = `&cursor=${body.nextCursor}`
    }
    expect(pages.length).toBe(5)
    expect(new Set(pages.flat()).size).toBe(30)
  }
  await worker.stop()
})

test('an event that comes while the feed looks for its end is told once', async () => {
  const api = await world.newTenant()
  const tenant = await tenantOf(api)
  const worker = anotherWorker(world)
  await world.drain()
  const readers = world.ctx.db.readers.of(tenant)
  // Between the first statement of a page and its second somebody is quick.
  let isFirst = true
  const db = kyselyOver(async (query) => {
    const result = await readers.executeQuery(query)
    if (isFirst) await createClients(api, 3).then(() => world.drain())
    isFirst = false
    return result
  })
  const page = await pageFeed(db, tenant, { limit: 50, after: 0 })
  expect(page.events.map(({ position }) => position)).toContain(page.lookedTo)
  const next = await pageFeed(db, tenant, { limit: 50, after: page.lookedTo })
  expect(next.events).toEqual([])
  await worker.stop()
})

test('the filter by type holds in the list and in the feed', async () => {
  const api = await world.newTenant()
  const [id] = await createClients(api, 2)
  await api.delete(`/api/v1/clients/${id}`)
  anotherWorker(world)
  const query = '&limit=1&type=client.deleted'
  await until(async () => (await readFeed(api, '', query)).events.length === 1)
  const [told] = (await readFeed(api, '', query)).events
  expect(told).toMatchObject({ type: 'client.deleted', data: { id } })
  const listed = (await api.get('/api/v1/events?type=client.deleted')).body.data
  expect(listed).toEqual([told])
  const types = (await api.get('/api/v1/events')).body.data.map(
    ({ type }: { type: string }) => type,
  )
  expect(types).toContain('client.created')
})

test('the cursor at the end of a feed goes on with what comes later', async () => {
  const api = await world.newTenant()
  anotherWorker(world)
  await createClients(api, 3)
  const all = async (from: string) => (await readFeed(api, from)).events
  await until(
    async () => (await all('')).filter(({ type }) => type === 'client.created').length === 3,
  )
  const { events, cursor } = await readFeed(api)
  expect(events.map(({ position }) => position)).toEqual(events.map((_, at) => at + 1))
  expect(await all(cursor)).toEqual([])

  await createClients(api, 2)
  await until(async () => (await all(cursor)).length === 2)
  const [next, last] = await all(cursor)
  expect([next?.position, last?.position]).toEqual([events.length + 1, events.length + 2])
})

test('an empty feed has a cursor too', async () => {
  const api = await world.newTenant()
  const { cursor } = await readFeed(api, '', '&limit=1&type=payment.received')
  expect(cursor).toEqual(expect.any(String))
})

test('a cursor of the feed is no cursor of the list, nor of another filter or tenant', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const { cursor } = await readFeed(api)
  const [feed, at] = ['/api/v1/events?sort=position', `cursor=${cursor}`]
  refusedWith(await api.get(`/api/v1/events?${at}`), 'invalid_cursor')
  refusedWith(await api.get(`${feed}&type=client.created&${at}`), 'invalid_cursor')
  refusedWith(await other.get(`${feed}&${at}`), 'invalid_cursor')
  refusedWith(await api.get(`${feed}&cursor=${cursor.slice(0, -2)}AA`), 'invalid_cursor')
  expect((await api.get(`${feed}&${at}`)).status).toBe(200)
})

test("another tenant's events are not there", async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  await createClients(api)
  const [event] = (await api.get('/api/v1/events')).body.data
  refusedWith(await other.get(`/api/v1/events/${event.id}`), 'not_found')
  const ids = (await other.get('/api/v1/events?limit=200')).body.data.map(
    ({ id }: { id: string }) => id,
  )
  expect(ids).not.toContain(event.id)
})

test('an event of a day that has no partition is not found, rather than an error', async () => {
  const api = await world.newTenant()
  refusedWith(await api.get(`/api/v1/events/evt_${'0'.repeat(26)}`), 'not_found')
  refusedWith(await api.get(`/api/v1/events/evt_6${'z'.repeat(25)}`), 'not_found')
})
