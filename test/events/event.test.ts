import { afterAll, beforeAll, expect, test } from 'vitest'
import { kyselyOver } from '#db/database.ts'
import { pageFeed } from '#events/event.sql.ts'
import { until } from '../jobs/until.ts'
import { anotherWorker, createClients } from '../webhooks/fixture.ts'
import { refusedWith, startWorld, type World } from '../world.ts'
import { aTypeOfOnesOwn, type FeedEvent, readFeed, tenantOf } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

test('an event has no position until it is sequenced, and then keeps the one it got', async () => {
  const api = await world.newTenant()
  await createClients(api)
  const [event] = (await api.get('/api/v1/events?eventType=client.created')).body.data
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

test('an event that has no place yet is listed by what its type begins with', async () => {
  const api = await world.newTenant()
  await createClients(api)
  const { body } = await api.get('/api/v1/events?eventType=client.*')
  expect(body.data).toMatchObject([{ type: 'client.created', position: null }])
})

test('a list shows events newest first, page by page, each once, and then ends', async () => {
  const api = await world.newTenant()
  await createClients(api, 12)
  const ids: string[] = []
  let cursor = ''
  do {
    const { body } = await api.get(`/api/v1/events?limit=5&eventType=client.created${cursor}`)
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
  for (const query of [
    '',
    '&eventType=client.created',
    '&sort=position&eventType=client.created',
  ]) {
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
  const query = '&limit=1&eventType=client.deleted'
  await until(async () => (await readFeed(api, '', query)).events.length === 1)
  const [told] = (await readFeed(api, '', query)).events
  expect(told).toMatchObject({ type: 'client.deleted', data: { id } })
  const listed = (await api.get('/api/v1/events?eventType=client.deleted')).body.data
  expect(listed).toEqual([told])
  const types = (await api.get('/api/v1/events')).body.data.map(
    ({ type }: { type: string }) => type,
  )
  expect(types).toContain('client.created')
})

test('several types, and types that begin alike, hold in both orders, as they do for a stream', async () => {
  const api = await world.newTenant()
  const worker = anotherWorker(world)
  const type = await aTypeOfOnesOwn(api)
  const [id] = await createClients(api, 3)
  await api.patch(`/api/v1/clients/${id}`, { phone: '1' })
  await api.post('/api/v1/events', { type, data: {} })
  await api.delete(`/api/v1/clients/${id}`)
  await world.drain()
  // Its events stay, and are among all of one's own.
  expect((await api.delete(`/api/v1/event-types/${type}`)).status).toBe(204)
  const walk = async (sort: string, eventTypes: string[]) => {
    const query = eventTypes.map((selector) => `&eventType=${selector}`).join('')
    const told: string[] = []
    for (let cursor = ''; ; ) {
      const { status, body } = await api.get(`/api/v1/events?sort=${sort}&limit=2${query}${cursor}`)
      if (status !== 200) throw new Error(JSON.stringify(body))
      told.push(...body.data.map((event: FeedEvent) => event.type))
      if (body.nextCursor === null || body.data.length === 0) return told
      cursor = `&cursor=${body.nextCursor}`
    }
  }
  const created = Array(3).fill('client.created')
  for (const [eventTypes, types] of [
    [
      ['client.*', 'custom.*'],
      [...created, 'client.updated', type, 'client.deleted'],
    ],
    [
      ['client.updated', 'client.deleted', 'client.updated'],
      ['client.updated', 'client.deleted'],
    ],
    [['payment.*'], []],
  ] as const) {
    expect(await walk('position', [...eventTypes])).toEqual(types)
    expect(await walk('-createdAt', [...eventTypes])).toEqual(types.toReversed())
  }
  expect((await walk('-createdAt', ['*'])).toReversed()).toEqual(await walk('position', ['*']))
  for (const sort of ['position', '-createdAt']) {
    const list = `/api/v1/events?sort=${sort}&eventType=client.*&eventType=client.eaten`
    const { errors } = refusedWith(await api.get(list), 'invalid_request')
    expect(errors).toMatchObject([{ parameter: 'eventType', code: 'no_such_event' }])
  }
  await worker.stop()
})

test('a feed may begin behind a position; one behind its end is refused, and so is one for another order', async () => {
  const api = await world.newTenant()
  const worker = anotherWorker(world)
  await createClients(api, 3)
  await world.drain()
  const all = (await readFeed(api)).events
  expect((await readFeed(api, '', '&limit=2&after=2')).events).toEqual(all.slice(2))
  expect((await readFeed(api, '', '&limit=2&after=0')).events).toEqual(all)
  expect((await readFeed(api, '', `&limit=2&after=${all.length}`)).events).toEqual([])
  const far = await api.get(`/api/v1/events?sort=position&after=${all.length + 1}`)
  expect(refusedWith(far, 'invalid_request').errors).toMatchObject([
    { parameter: 'after', code: 'maximum' },
  ])
  const strange = refusedWith(await api.get('/api/v1/events?after=1'), 'invalid_request')
  expect(strange.errors).toMatchObject([{ parameter: 'after', code: 'not_together' }])
  await worker.stop()
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
  const { cursor } = await readFeed(api, '', '&limit=1&eventType=payment.received')
  expect(cursor).toEqual(expect.any(String))
})

test('a cursor of the feed is no cursor of the list, nor of another filter or tenant', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const { cursor } = await readFeed(api)
  const [feed, at] = ['/api/v1/events?sort=position', `cursor=${cursor}`]
  refusedWith(await api.get(`/api/v1/events?${at}`), 'invalid_cursor')
  refusedWith(await api.get(`${feed}&eventType=client.created&${at}`), 'invalid_cursor')
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
