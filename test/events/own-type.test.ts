import { createRequire } from 'node:module'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { typeNames } from '#events/event.ts'
import { misfitsOf } from '#events/misfits.ts'
import { breakIn, judgeSchema } from '#events/own-schema.ts'
import { tenantId } from '#ids.ts'
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

const anybody = tenantId(`ten_${'0'.repeat(26)}`)

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
  const feed = await api.get(`/api/v1/events?sort=position&eventType=${shipped.type}`)
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
  const { body: list } = await api.get(`/api/v1/events?eventType=${shipped.type}`)
  expect(list.data).toHaveLength(1)
})

test('data that does not fit its schema is refused, and it says where', async () => {
  const api = await registered()
  for (const [data, pointer] of [
    [{}, '/data/orderId'],
    [{ orderId: 7 }, '/data/orderId'],
    [{ orderId: 'A', parcels: 1.5 }, '/data/parcels'],
    [{ orderId: 'x'.repeat(300_000), parcels: 1.5 }, '/data'],
  ] as const) {
    const reply = await api.post('/api/v1/events', { type: shipped.type, data })
    expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe(pointer)
  }
  expect((await api.get(`/api/v1/events?eventType=${shipped.type}`)).body.data).toEqual([])
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

test('what only people read makes no version and breaks nobody, wherever in a schema it stands', async () => {
  const choice = { anyOf: [{ type: 'string', title: 'Code' }, { type: 'null' }] }
  const properties = { title: { type: 'string' }, carrier: choice }
  const schema = { type: 'object', properties }
  const api = await registered({ schema, example: {} })
  const path = `/api/v1/event-types/${shipped.type}`
  const described = await api.patch(path, {
    schema: {
      ...{ title: 'Shipped', $comment: 'Of the new house.', examples: [{}] },
      properties: {
        carrier: {
          description: 'Who.',
          anyOf: [{ type: 'string', default: 'PP' }, { type: 'null' }],
        },
      },
    },
  })
  expect(described).toMatchObject({ status: 200, body: { version: 1 } })
  expect(described.body.schema.properties.data).toMatchObject({ title: 'Shipped' })
  // A property may have the name of an annotation, and is none.
  const less = await api.patch(path, { schema: { properties: { title: null } } })
  expect(refusedWith(less, 'invalid_state').errors[0].pointer).toBe('/schema/properties/title')
  const other = { properties: { carrier: { anyOf: [{ type: 'string' }, { type: 'integer' }] } } }
  refusedWith(await api.patch(path, { schema: other }), 'invalid_state')
  const more = await api.patch(path, {
    schema: { properties: { description: { type: 'string' } } },
  })
  expect(more.body.version).toBe(2)
})

test('a type may be removed once nobody names it: its events stay, and there is room for another', async () => {
  const api = await registered()
  const neighbour = await world.newTenant()
  const path = `/api/v1/event-types/${shipped.type}`
  const { url } = await aReceiver()
  const eventTypes = [shipped.type]
  const endpoint = await api.post('/api/v1/webhook-endpoints', { url, eventTypes })
  await api.post('/api/v1/webhook-endpoints', { url, eventTypes: ['custom.order.*'] })
  const consumer = await api.post('/api/v1/event-consumers', { name: 'C', eventTypes })
  const event = { type: shipped.type, data: shipped.example }
  const { body: published } = await api.post('/api/v1/events', event)
  for (const [kind, { body }] of Object.entries({
    'webhook-endpoints': endpoint,
    'event-consumers': consumer,
  })) {
    expect(refusedWith(await api.delete(path), 'resource_in_use').detail).toContain(body.id)
    expect((await api.delete(`/api/v1/${kind}/${body.id}`)).status).toBe(204)
  }
  refusedWith(await neighbour.delete(path), 'not_found')
  expect((await api.delete(path)).status).toBe(204)
  refusedWith(await api.get(path), 'not_found')
  refusedWith(await api.delete(path), 'not_found')
  refusedWith(await api.post('/api/v1/events', event), 'reference_unknown')
  expect((await api.get(`/api/v1/events/${published.id}`)).body).toMatchObject(event)
  expect((await api.post('/api/v1/event-types', shipped)).status).toBe(201)
  refusedWith(await api.delete('/api/v1/event-types/client.created'), 'invalid_request')
})

test.for(['type', '-type'])(
  'sorted by %s, the list of types goes on where it was, though its last one was removed',
  async (sort) => {
    const api = await registered({ type: 'custom.a.made' })
    await api.post('/api/v1/event-types', { ...shipped, type: 'custom.b.made' })
    await api.post('/api/v1/event-types', { ...shipped, type: 'custom.c.made' })
    const inOrder = [...typeNames, 'custom.a.made', 'custom.b.made', 'custom.c.made'].sort()
    const names = sort === 'type' ? inOrder : inOrder.toReversed()
    const limit = names.indexOf('custom.b.made') + 1
    const list = `/api/v1/event-types?sort=${sort}`
    const { nextCursor } = (await api.get(`${list}&limit=${limit}`)).body
    expect((await api.delete('/api/v1/event-types/custom.b.made')).status).toBe(204)
    const { data } = (await api.get(`${list}&limit=200&cursor=${nextCursor}`)).body
    expect(data.map(({ type }: { type: string }) => type)).toEqual(names.slice(limit))
  },
)

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
  const branches = (count: number, inner: object = {}) => ({
    anyOf: Array.from({ length: count }, () => inner),
  })
  const bounded = { type: 'string', minLength: 1, maxLength: 9 }
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
    ['eleven branches', { properties: { a: branches(11) } }, '/schema/properties/a/anyOf'],
    [
      'choices within choices',
      { properties: { a: { items: branches(7, branches(7)) } } },
      '/schema/properties/a/items',
    ],
    [
      'choices of lengths',
      { properties: { a: branches(10, branches(2, bounded)) } },
      '/schema/properties/a',
    ],
    [
      'choices whose fields are of one name',
      branches(10, { type: 'object', properties: { a: branches(2, bounded) } }),
      '/schema',
    ],
    [
      'choices whose fields may be of one name',
      branches(10, { type: 'object', additionalProperties: branches(2, bounded) }),
      '/schema',
    ],
    [
      'objects to choose from',
      { properties: { a: { enum: Array(50).fill({}) } } },
      '/schema/properties/a',
    ],
    ['required and unknown', { required: ['nowhere'], properties: {} }, '/schema'],
  ])('%s', (_, schema, pointer) => {
    const [error] = judgeSchema(anybody, { type: 'object', ...schema })
    expect(error?.pointer).toBe(pointer)
  })
  test('and what just fits is taken', () => {
    const { a199: _, ...fits } = wide
    expect(judgeSchema(anybody, { type: 'object', properties: fits })).toEqual([])
    expect(judgeSchema(anybody, deep(7) as { type: string })).toEqual([])
    const choices = branches(10, {
      type: 'object',
      properties: { a: bounded, b: branches(3) },
    })
    expect(judgeSchema(anybody, { type: 'object', ...choices })).toEqual([])
  })
})

test('names that objects inherit are data like any other', () => {
  const schema = JSON.stringify({ type: 'object', properties: { constructor: { type: 'string' } } })
  expect(misfitsOf(anybody, schema, {}, 'data')).toEqual([])
  expect(misfitsOf(anybody, schema, JSON.parse('{"constructor": 7}'), 'data')).toHaveLength(1)
  expect(breakIn({ properties: { toString: {} } }, { properties: {} })).toEqual([
    'properties',
    'toString',
  ])
})

test('one of many values takes no longer to find than one of few, and it is told which there are', () => {
  const names = Array.from({ length: 2_500 }, (_, at) => at.toString(36).padStart(3, '0'))
  const item = { enum: [...names, null, { a: [1] }] }
  const schema = { type: 'object', properties: { a: { type: 'array', items: item } } }
  expect(judgeSchema(anybody, schema)).toEqual([])
  const misfits = (a: unknown[]) => misfitsOf(anybody, JSON.stringify(schema), { a }, 'data')
  const startedAt = performance.now()
  expect(misfits(Array(9_900).fill(names.at(-1)))).toEqual([])
  expect(performance.now() - startedAt).toBeLessThan(200)
  expect(misfits([null, { a: [1] }, '000'])).toEqual([])
  const [misfit, ...others] = misfits(['000', { a: [2] }])
  expect(others).toEqual([])
  expect(misfit).toMatchObject({ pointer: '/data/a/1', code: 'not_in_enum' })
  expect(misfit?.message).toMatch(/^must be one of 000, 001, .* or 2482 others$/)
})

test('tenants with as many types as they may have do not have each other’s compiled anew', () => {
  const { Ajv2020 } = createRequire(import.meta.url)('ajv/dist/2020.js')
  const compile = vi.spyOn(Ajv2020.prototype, 'compile')
  const [one, two, other] = [1, 2, 3].map((digit) => tenantId(`ten_${String(digit).repeat(26)}`))
  const use = (tenant = anybody, count = 100) => {
    for (let at = 0; at < count; at += 1) {
      misfitsOf(tenant, JSON.stringify({ type: 'object', title: `${at}` }), {}, 'data')
    }
  }
  for (const tenant of [one, two, one, two]) use(tenant)
  expect(compile).toHaveBeenCalledTimes(200)
  // Who tries more than that loses its own.
  use(other, 150)
  for (const tenant of [one, two]) use(tenant)
  expect(compile).toHaveBeenCalledTimes(350)
  compile.mockRestore()
})
