import { afterAll, beforeAll, expect, test } from 'vitest'
import { aTypeOfOnesOwn, tenantOf } from '../events/fixture.ts'
import { refusedWith, startWorld, type World } from '../world.ts'
import {
  aClient,
  aConsumer,
  commit,
  everything,
  fetchBatch,
  pastLease,
  positionsOf,
} from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

test('a consumer from the beginning is handed every event once, in order, as it is listed', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  for (const name of ['Ada', 'Bob', 'Eve']) await aClient(api, name)
  await world.drain()

  const handed = []
  for (let turn = 0; turn < 20; turn += 1) {
    const { status, body } = await api.post(`${consumer}/batches`, { limit: 2 })
    if (status === 204) break
    handed.push(...body.data)
    expect((await commit(api, consumer, body.id)).body.position).toBe(body.lastPosition)
  }
  const listed = await api.get('/api/v1/events?sort=position&limit=200')
  expect(handed).toEqual(listed.body.data)
  expect(handed.map(({ position }) => position)).toEqual(handed.map((_, at) => at + 1))
  expect((await api.post(`${consumer}/batches`)).status).toBe(204)
})

test('one that begins now is handed nothing of before, one behind a position what follows it', async () => {
  const api = await world.newTenant()
  await aClient(api, 'Before')
  await world.drain()
  const all = await everything(world, api)
  const now = await aConsumer(api)
  const second = await aConsumer(api, { startAfter: 1 })
  await aClient(api, 'After')
  await world.drain()

  expect(positionsOf(await fetchBatch(api, now))[0]).toBe(all.length + 1)
  expect(positionsOf(await fetchBatch(api, second))[0]).toBe(2)
  const reply = await api.post('/api/v1/event-consumers', { name: 'X', startAfter: 1_000 })
  const { errors } = refusedWith(reply, 'invalid_request')
  expect(errors).toMatchObject([{ pointer: '/startAfter', code: 'maximum' }])
})

test('while a batch is out nobody gets another; once its lease ended, its events are handed out again', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  await world.drain()
  const first = await fetchBatch(api, consumer, { limit: 2, leaseSeconds: 1 })
  const refused = await api.post(`${consumer}/batches`)
  refusedWith(refused, 'batch_leased')
  expect(refused.headers.get('retry-after')).toBe('1')

  await pastLease()
  const again = await fetchBatch(api, consumer, { limit: 2 })
  expect(again.id).not.toBe(first.id)
  expect(again.data).toEqual(first.data)
  refusedWith(await commit(api, consumer, first.id), 'lease_lost')
  expect((await api.get(consumer)).body.position).toBe(0)
  expect((await commit(api, consumer, again.id)).status).toBe(200)
})

test('a commit after the end of the lease counts while nobody else was handed its events', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  await world.drain()
  const { id, lastPosition } = await fetchBatch(api, consumer, { leaseSeconds: 1 })
  await pastLease()
  const late = await commit(api, consumer, id)
  expect([late.status, late.body.position]).toEqual([200, lastPosition])
  // The answer may have been lost: the same again is no mistake.
  const { body, status } = await commit(api, consumer, id)
  expect([status, body.revision]).toEqual([200, late.body.revision])
})

test('a part of a batch can be committed; the rest stays leased, and nothing behind it can be', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  await aClient(api)
  await world.drain()
  const { id, lastPosition } = await fetchBatch(api, consumer, { limit: 3 })
  const part = await commit(api, consumer, id, 1)
  expect(part.body).toMatchObject({ position: 1, leasedTo: lastPosition })
  refusedWith(await api.post(`${consumer}/batches`), 'batch_leased')
  const far = refusedWith(await commit(api, consumer, id, lastPosition + 1), 'invalid_request')
  expect(far.errors[0].pointer).toBe('/position')
  expect((await commit(api, consumer, id, 0)).body.position).toBe(1)
  const rest = await commit(api, consumer, id, lastPosition)
  expect(rest.body).toMatchObject({ position: lastPosition, leasedTo: null, leasedUntil: null })
})

test('one for types that begin alike is handed all of them, also of types of its own, and no others', async () => {
  const api = await world.newTenant()
  const type = await aTypeOfOnesOwn(api)
  const eventTypes = ['client.*', 'custom.*']
  const consumer = await aConsumer(api, { startAfter: 0, eventTypes })
  await aClient(api, 'Ada')
  expect((await api.post('/api/v1/events', { type, data: {} })).status).toBe(202)
  await world.drain()
  expect((await api.get(`${consumer}/lag`)).body.eventsBehind).toBe(2)
  const batch = await fetchBatch(api, consumer)
  expect(batch.data.map((event) => event.type)).toEqual(['client.created', type])
})

test('a selector that selects nothing there is is refused and named', async () => {
  const api = await world.newTenant()
  const eventTypes = ['client.*', 'clients.*']
  const refused = await api.post('/api/v1/event-consumers', { name: 'C', eventTypes })
  const { errors } = refusedWith(refused, 'invalid_request')
  expect(errors).toMatchObject([{ pointer: '/eventTypes/1', code: 'no_such_event' }])
})

test('one for some types is handed those alone, is moved over the others, and its lag counts its own', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0, eventTypes: ['client.created'] })
  await world.drain()
  expect((await api.post(`${consumer}/batches`)).status).toBe(204)
  const head = (await everything(world, api)).length
  expect((await api.get(consumer)).body.position).toBe(head)

  const ids = [await aClient(api, 'Ada'), await aClient(api, 'Bob')]
  await api.patch(`/api/v1/clients/${ids[0]}`, { phone: '1' })
  await world.drain()
  const happenedAt = (await api.get('/api/v1/events?eventType=client.created')).body.data[1]
    .timestamp
  world.step(60_000)
  const { body: lag } = await api.get(`${consumer}/lag`)
  expect(lag).toMatchObject({
    ...{ position: head, headPosition: head + 3, eventsBehind: 2, isExact: true },
    oldestAt: happenedAt,
  })
  expect(lag.ageSeconds).toBeGreaterThanOrEqual(60)
  expect(lag.ageSeconds).toBeLessThan(70)

  const batch = await fetchBatch(api, consumer)
  expect(batch.data.map(({ data }) => data?.id)).toEqual(ids)
  await commit(api, consumer, batch.id)
  expect((await api.get(`${consumer}/lag`)).body).toMatchObject({ eventsBehind: 0, oldestAt: null })
})

test('what waits is counted from the oldest event that is left, however long ago that was', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  await aClient(api)
  await world.drain()
  const { body: before } = await api.get(`${consumer}/lag`)
  // As if 200,000 events had come and gone before.
  const tenant = await tenantOf(api)
  for (const table of ['event_position', 'stream_head']) {
    const moved = `update ${table} set position = position + 200000 where tenant_id = $1`
    await world.query(moved, [tenant])
  }
  const { body: lag } = await api.get(`${consumer}/lag`)
  expect(lag).toMatchObject({ eventsBehind: before.eventsBehind, oldestAt: before.oldestAt })
  expect(lag).toMatchObject({ position: 0, isExact: true })
})

test('a batch ends when it is about 1 MiB long, and goes on there', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api)
  for (let count = 0; count < 5; count += 1) await aClient(api)
  await world.drain()
  await world.query(
    `update event set body = convert_to(jsonb_set(convert_from(body, 'utf8')::jsonb,
       '{data,name}', to_jsonb(repeat('x', 400000)))::text, 'utf8')
     where type = 'client.created' and tenant_id = $1`,
    [(await api.get('/api/v1/me')).body.tenant.id],
  )
  const seen = []
  for (;;) {
    const { status, body } = await api.post(`${consumer}/batches`)
    if (status === 204) break
    seen.push(positionsOf(body))
    await commit(api, consumer, body.id)
  }
  const start = seen[0]?.[0] ?? 0
  expect(seen.map((page) => page.length)).toEqual([4, 2])
  expect(seen.flat()).toEqual([0, 1, 2, 3, 4, 5].map((more) => start + more))
})

test('a hundred consumers are enough; a removed one is gone and told of', async () => {
  const api = await world.newTenant()
  const first = await aConsumer(api)
  for (let count = 1; count < 100; count += 1) await aConsumer(api)
  refusedWith(await api.post('/api/v1/event-consumers', { name: 'More' }), 'limit_reached')
  expect((await api.delete(first)).status).toBe(204)
  refusedWith(await api.get(first), 'not_found')
  await aConsumer(api)
  await world.drain()
  const { body } = await api.get('/api/v1/events?eventType=event_consumer.deleted')
  expect(first.endsWith(body.data[0].data.id)).toBe(true)
})

test('one that is put at another place is handed what is behind that, and what was out is void', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  await aClient(api)
  await world.drain()
  const first = await fetchBatch(api, consumer, { limit: 2 })
  const back = await api.patch(consumer, { position: 1 })
  expect(back).toMatchObject({
    status: 200,
    body: { position: 1, leasedTo: null, leasedUntil: null },
  })
  refusedWith(await commit(api, consumer, first.id), 'lease_lost')
  const again = await fetchBatch(api, consumer)
  expect(positionsOf(again)[0]).toBe(2)
  // What was committed cannot be committed once more from before that.
  await commit(api, consumer, again.id)
  await api.patch(consumer, { position: 0 })
  refusedWith(await commit(api, consumer, again.id), 'lease_lost')
  expect(positionsOf(await fetchBatch(api, consumer))[0]).toBe(1)
  await world.drain()
  const head = (await everything(world, api)).length
  await api.patch(consumer, { position: head })
  await world.drain()
  // What is skipped is not handed out, and what tells of the change comes behind it.
  expect(positionsOf(await fetchBatch(api, consumer))).toEqual([head + 1])
  const far = refusedWith(await api.patch(consumer, { position: head + 2 }), 'invalid_request')
  expect(far.errors).toMatchObject([{ pointer: '/position', code: 'maximum' }])
})

test('one that gets other types is handed those, and whoever has not seen it changes nothing', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0, eventTypes: ['client.created'] })
  const id = await aClient(api)
  await api.patch(`/api/v1/clients/${id}`, { phone: '1' })
  await world.drain()
  const out = await fetchBatch(api, consumer)
  const renamed = await api.patch(consumer, { name: 'Cellar' })
  expect(renamed.body).toMatchObject({ name: 'Cellar', leasedTo: out.lastPosition })
  refusedWith(
    await api.patch(consumer, { name: 'X' }, { 'if-match': '"1"' }),
    'precondition_failed',
  )
  const stray = refusedWith(await api.patch(consumer, { eventTypes: ['x.*'] }), 'invalid_request')
  expect(stray.errors[0].pointer).toBe('/eventTypes/0')
  const { revision } = renamed.body
  const seen = { 'if-match': `"${revision}"` }
  const other = await api.patch(consumer, { eventTypes: ['client.updated'] }, seen)
  expect(other.body).toMatchObject({ leasedTo: null, position: 0, revision: revision + 1 })
  const batch = await fetchBatch(api, consumer)
  expect(batch.data.map(({ type }) => type)).toEqual(['client.updated'])
  await commit(api, consumer, batch.id)
  const same = await api.patch(consumer, { eventTypes: ['client.updated'] })
  expect(same.body.revision).toBe(revision + 3)
  const stranger = await world.newTenant()
  refusedWith(await stranger.patch(consumer, { position: 0 }), 'not_found')
  await world.drain()
  const told = await api.get('/api/v1/events?eventType=event_consumer.updated')
  expect(
    told.body.data.map(({ changedFields }: { changedFields: string[] }) => changedFields),
  ).toEqual([['eventTypes', 'leasedTo', 'leasedUntil'], ['name']])
})
