import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { typeNames } from '#events/event.ts'
import { breakIn, judgeSchema, misfitsOf } from '#events/own-schema.ts'
import { aReceiver } from '../webhooks/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const shipped = {
  type: 'custom.order.shipped',
  description: 'An order left the warehouse.',
  schema: {
    type: 'object',
    required: ['orderId'],
    properties: { orderId: { type: 'string', minLength: 1 }, parcels: { type: 'integer' } },
  },
  example: { orderId: 'A-1' },
}

async function registered(over: object = {}): Promise<Api> {
  const api = await world.newTenant()
  const { status, body } = await api.post('/api/v1/event-types', { ...shipped, ...over })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return api
}

test('an event of one’s own goes into the log and the feed, and is delivered to who wants it', async () => {
  const api = await registered()
  const [wanted, other] = [await aReceiver(), await aReceiver()]
  const endpoint = await api.post('/api/v1/webhook-endpoints', {
    url: wanted.url,
    eventTypes: ['custom.order.*'],
    filter: [{ path: '/data/parcels', gt: 1 }],
  })
  expect(endpoint.status).toBe(201)
  await api.post('/api/v1/webhook-endpoints', { url: other.url, eventTypes: ['client.*'] })
  const publish = (data: object) => api.post('/api/v1/events', { type: shipped.type, data })
  expect((await publish({ orderId: 'A-1', parcels: 1 })).status).toBe(202)
  const event = await publish({ orderId: 'A-2', parcels: 2 })
  expect(event.body).toMatchObject({
    type: shipped.type,
    version: 1,
    data: { orderId: 'A-2', parcels: 2 },
    position: null,
  })
  await world.drain()
  const [request, ...others] = wanted.verified(endpoint.body.secret)
  const { position: _, ...sent } = event.body
  expect(JSON.parse(String(request?.body))).toEqual(sent)
  expect([...others, ...other.requests]).toEqual([])
  expect((await api.get(`/api/v1/events/${event.body.id}`)).body).toMatchObject(sent)
  const feed = await api.get(`/api/v1/events?sort=position&type=${shipped.type}`)
  expect(feed.body.data.map(({ data }: { data: object }) => data)).toEqual([
    { orderId: 'A-1', parcels: 1 },
    { orderId: 'A-2', parcels: 2 },
  ])
  const deliveries = await api.get(`/api/v1/webhook-deliveries?eventType=${shipped.type}`)
  expect(deliveries.body.data).toMatchObject([{ status: 'DELIVERED', eventType: shipped.type }])
})

test('under one key an event is published once, however often it is asked for', async () => {
  const api = await registered()
  const body = { type: shipped.type, data: { orderId: 'A-1' } }
  const key = { 'idempotency-key': 'order-a-1' }
  const once = await api.post('/api/v1/events', body, key)
  const again = await api.post('/api/v1/events', body, key)
  expect(again.body).toEqual(once.body)
  expect(again.headers.get('idempotent-replayed')).toBe('true')
  const { body: list } = await api.get(`/api/v1/events?type=${shipped.type}`)
  expect(list.data).toHaveLength(1)
})

test('data that does not fit its schema is refused, and it says where', async () => {
  const api = await registered()
  for (const [data, pointer] of [
    [{}, '/data/orderId'],
    [{ orderId: 7 }, '/data/orderId'],
    [{ orderId: 'A', parcels: 1.5 }, '/data/parcels'],
    [{ orderId: 'x'.repeat(300_000) }, '/data'],
  ] as const) {
    const reply = await api.post('/api/v1/events', { type: shipped.type, data })
    expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe(pointer)
  }
  expect((await api.get(`/api/v1/events?type=${shipped.type}`)).body.data).toEqual([])
})

test('types of one’s own are listed with ours, and are nobody else’s', async () => {
  const api = await registered()
  const neighbour = await world.newTenant()
  const names = async (caller: Api, query = '') =>
    (await caller.get(`/api/v1/event-types?limit=200${query}`)).body.data.map(
      ({ type }: { type: string }) => type,
    )
  expect(await names(api)).toEqual([...typeNames, shipped.type].sort())
  expect(await names(api, '&sort=-type')).toEqual([...typeNames, shipped.type].sort().reverse())
  expect(await names(neighbour)).toEqual(typeNames)
  const path = `/api/v1/event-types/${shipped.type}`
  const { body } = await api.get(path)
  expect(body).toMatchObject({
    ...{ type: shipped.type, version: 1, description: shipped.description },
    example: { type: shipped.type, version: 1, data: shipped.example },
    schema: { properties: { data: shipped.schema } },
  })
  refusedWith(await neighbour.get(path), 'not_found')
  refusedWith(await neighbour.patch(path, { description: 'Mine' }), 'not_found')
  const event = { type: shipped.type, data: shipped.example }
  refusedWith(await neighbour.post('/api/v1/events', event), 'reference_unknown')
  const { url } = await aReceiver()
  const eventTypes = ['custom.order.*']
  const listen = (by: Api, types: string[]) =>
    by.post('/api/v1/webhook-endpoints', { url, eventTypes: types })
  refusedWith(await listen(neighbour, eventTypes), 'invalid_request')
  expect((await listen(neighbour, ['custom.*'])).status, 'before there is one').toBe(201)
  expect((await listen(api, eventTypes)).status).toBe(201)
  const preview = await api.post('/api/v1/webhook-previews', {
    ...{ eventType: shipped.type, eventTypes },
    transformation: 'data.orderId',
  })
  expect(preview.body).toMatchObject({ isDelivered: true, body: '"A-1"' })
})

test('a name is taken once, is never one of ours, and there are a hundred at most', async () => {
  expect(typeNames.filter((type) => type.startsWith('custom.'))).toEqual([])
  const api = await registered()
  const make = (type: string) => api.post('/api/v1/event-types', { ...shipped, type })
  expect(refusedWith(await make(shipped.type), 'invalid_state').errors[0].pointer).toBe('/type')
  for (const type of ['client.created', 'order.shipped', 'custom', 'custom.', 'custom.Order.x']) {
    expect(refusedWith(await make(type), 'invalid_request').errors[0].pointer).toBe('/type')
  }
  const twins = await Promise.all([make('custom.twin.made'), make('custom.twin.made')])
  expect(twins.map(({ status }) => status).sort()).toEqual([201, 409])
  const [{ tenant_id: tenantId } = {}] = await world.query<{ tenant_id: string }>(
    `select tenant_id from event_type where type = 'custom.twin.made'`,
  )
  await world.query(
    `insert into event_type select tenant_id, type || n, version, description, schema, example,
      created_at, updated_at from event_type, generate_series(1, 98) as n
      where tenant_id = $1 and type = $2`,
    [tenantId, shipped.type],
  )
  refusedWith(await make('custom.one.more'), 'limit_reached')
})

test('a type may say more, in a new version; what would break its readers is refused', async () => {
  const api = await registered()
  const path = `/api/v1/event-types/${shipped.type}`
  const described = await api.patch(path, { description: 'Gone.' })
  expect(described.body).toMatchObject({ description: 'Gone.', version: 1 })
  const more = {
    schema: { properties: { carrier: { type: 'string' } }, required: ['orderId', 'carrier'] },
  }
  expect(refusedWith(await api.patch(path, more), 'invalid_request').errors[0].pointer).toBe(
    '/example/carrier',
  )
  const grown = await api.patch(path, { ...more, example: { carrier: 'Penny Post' } })
  expect(grown.body).toMatchObject({
    version: 2,
    example: { version: 2, data: { orderId: 'A-1', carrier: 'Penny Post' } },
  })
  const publish = (data: object) => api.post('/api/v1/events', { type: shipped.type, data })
  refusedWith(await publish({ orderId: 'A-1' }), 'invalid_request')
  expect((await publish({ orderId: 'A-1', carrier: 'X' })).body.version).toBe(2)
  for (const [schema, pointer] of [
    [{ properties: { orderId: { minLength: 2 } } }, '/schema/properties/orderId'],
    [{ properties: { parcels: null } }, '/schema/properties/parcels'],
    [{ required: ['orderId'] }, '/schema/required'],
    [{ additionalProperties: false }, '/schema'],
  ] as const) {
    const reply = await api.patch(path, { schema })
    expect(refusedWith(reply, 'invalid_state').errors[0].pointer).toBe(pointer)
  }
  expect((await api.get(path)).body.version).toBe(2)
})

test('a change of nothing is no change', async () => {
  const api = await registered()
  const same = await api.patch(`/api/v1/event-types/${shipped.type}`, {
    description: shipped.description,
    schema: shipped.schema,
  })
  expect(same).toMatchObject({ status: 200, body: { version: 1 } })
})

describe('a schema that could not be held against data in bounded time is refused', () => {
  const deep = (levels: number): object =>
    levels === 0 ? {} : { type: 'object', properties: { a: deep(levels - 1) } }
  const wide = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`a${at}`, {}]))
  test.each([
    [
      'a pattern',
      { properties: { a: { type: 'string', pattern: '^(a+)+$' } } },
      '/schema/properties/a/pattern',
    ],
    ['a reference', { properties: { a: { $ref: '#' } } }, '/schema/properties/a/$ref'],
    ['a dynamic one', { $dynamicRef: '#x' }, '/schema/$dynamicRef'],
    [
      'uniqueItems',
      { properties: { a: { type: 'array', items: { uniqueItems: true } } } },
      '/schema/properties/a/items/uniqueItems',
    ],
    ['within a choice', { anyOf: [{}, { format: 'email' }] }, '/schema/anyOf/1/format'],
    ['within others', { additionalProperties: { not: {} } }, '/schema/additionalProperties/not'],
    ['nine levels', deep(9), `/schema${'/properties/a'.repeat(8)}`],
    ['201 schemas', { properties: wide }, '/schema'],
    ['17 KiB', { description: 'x'.repeat(17_000) }, '/schema'],
    ['no object', { type: 'array' }, '/schema'],
    ['an unknown type', { properties: { a: { type: 'money' } } }, '/schema'],
    ['properties that are none', { properties: { a: 7 } }, '/schema/properties/a'],
    ['required and unknown', { required: ['nowhere'], properties: {} }, '/schema'],
  ])('%s', (_, schema, pointer) => {
    const [error] = judgeSchema({ type: 'object', ...schema })
    expect(error?.pointer).toBe(pointer)
  })
  test('and what just fits is taken', () => {
    const { a199: _, ...fits } = wide
    expect(judgeSchema({ type: 'object', properties: fits })).toEqual([])
    expect(judgeSchema(deep(7) as { type: string })).toEqual([])
  })
})

test('names that objects inherit are data like any other', () => {
  const schema = JSON.stringify({ type: 'object', properties: { constructor: { type: 'string' } } })
  expect(misfitsOf(schema, {}, 'data')).toEqual([])
  expect(misfitsOf(schema, JSON.parse('{"constructor": 7}'), 'data')).toHaveLength(1)
  expect(breakIn({ properties: { toString: {} } }, { properties: {} })).toEqual([
    'properties',
    'toString',
  ])
})
