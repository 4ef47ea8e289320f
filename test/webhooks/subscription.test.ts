import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aReceiver, deliveriesOf } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

async function subscribed(api: Api, subscription: object) {
  const receiver = await aReceiver()
  const { status, body } = await api.post('/api/v1/webhook-endpoints', {
    url: receiver.url,
    ...subscription,
  })
  if (status !== 201) throw new Error(JSON.stringify(body))
  const told = async () => {
    await world.drain()
    return receiver.requests.map((request) => JSON.parse(String(request.body)))
  }
  return { id: body.id, path: `/api/v1/webhook-endpoints/${body.id}`, body, told }
}

async function createClient(api: Api, name: string, currency: string): Promise<string> {
  const { status, body } = await api.post('/api/v1/clients', { name, currency })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return body.id
}

test('noun.* subscribes to all events of a noun, and to no other', async () => {
  const api = await world.newTenant()
  const endpoint = await subscribed(api, { eventTypes: ['client.*'] })
  const id = await createClient(api, 'Ada', 'GBP')
  await api.patch(`/api/v1/clients/${id}`, { phone: '1' })
  await api.post('/api/v1/api-keys', { name: 'CI', scopes: ['clients:read'] })
  const types = (await endpoint.told()).map(({ type }) => type)
  expect(types.sort()).toEqual(['client.created', 'client.updated'])
})

test('an event that is filtered out makes no delivery, and one that passes does', async () => {
  const api = await world.newTenant()
  const euros = await subscribed(api, {
    eventTypes: ['client.created'],
    filter: [{ path: '/data/currency', equals: 'EUR' }],
  })
  const all = await subscribed(api, { eventTypes: ['client.created'] })
  for (const currency of ['EUR', 'GBP', 'EUR', 'USD']) await createClient(api, 'Ada', currency)
  const currencies = (await euros.told()).map(({ data }) => data.currency)
  expect(currencies).toEqual(['EUR', 'EUR'])
  expect(await all.told()).toHaveLength(4)
  expect(await deliveriesOf(api, `&endpointId=${euros.id}`)).toHaveLength(2)
})

test('a filter is shown as it was given, replaced as a whole, and cleared by an empty one', async () => {
  const api = await world.newTenant()
  const filter = [
    { path: '/data/currency', in: ['EUR', 'GBP'] },
    { any: [{ path: '/data/name', prefix: 'A' }, { not: { path: '/data/email', exists: true } }] },
  ]
  const endpoint = await subscribed(api, { eventTypes: ['client.*'], filter })
  expect(endpoint.body.filter).toEqual(filter)
  expect((await api.get(endpoint.path)).body).toMatchObject({ filter, revision: 1 })
  const same = await api.patch(endpoint.path, { filter })
  expect(same.body.revision).toBe(1)

  const other = [{ path: '/data/currency', equals: 'USD' }]
  expect((await api.patch(endpoint.path, { filter: other })).body.filter).toEqual(other)
  await createClient(api, 'Ada', 'EUR')
  expect(await endpoint.told()).toEqual([])
  expect((await api.patch(endpoint.path, { filter: [] })).body).toMatchObject({
    filter: [],
    revision: 3,
  })
  await createClient(api, 'Ada', 'EUR')
  expect(await endpoint.told()).toHaveLength(1)
})

test('a test event reaches its endpoint whatever that filters', async () => {
  const api = await world.newTenant()
  const endpoint = await subscribed(api, { filter: [{ path: '/type', equals: 'no.such' }] })
  await api.post(`${endpoint.path}/test-events`)
  expect(await endpoint.told()).toMatchObject([{ type: 'webhook_endpoint.tested' }])
})

test('events larger than one pass has room for are filtered all the same, each in its turn', async () => {
  const api = await world.newTenant()
  const endpoint = await subscribed(api, {
    eventTypes: ['client.created'],
    filter: [{ path: '/data/currency', equals: 'EUR' }],
  })
  const { body } = await api.get('/api/v1/events?limit=1')
  const id = await createClient(api, 'Ada', 'EUR')
  await endpoint.told()
  // As many as fill a pass several times over, put behind each other as the sequencer finds them.
  await world.query(
    `with source as (select * from event where body like convert_to('%' || $1 || '%', 'utf8')),
    made as (
      insert into event (tenant_id, id, created_on, type, version, occurred_at, correlation_id, body)
      select tenant_id, 'evt_' || lpad(n::text, 26, '0'), created_on, type, version, occurred_at,
        correlation_id, convert_to(json_build_object('type', type, 'id', n, 'data',
          json_build_object('currency', case when n % 5 = 0 then 'EUR' else 'GBP' end,
            'padding', repeat('x', 200000)))::text, 'utf8')
      from source, generate_series(1, 100) as n returning *
    )
    insert into event_pending (tenant_id, event_id, created_on, type)
    select tenant_id, id, created_on, type from made`,
    [id],
  )
  const told = (await endpoint.told()).slice(1).map((event) => event.id)
  expect(told.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, at) => 5 * (at + 1)))
  expect(body.data).toHaveLength(1)
})

const faults: [what: string, body: object, pointer: string][] = [
  ['a type that there is not', { eventTypes: ['*', 'client.eaten'] }, '/eventTypes/1'],
  ['a noun that there is not', { eventTypes: ['unicorn.*'] }, '/eventTypes/0'],
  ['a wildcard within', { eventTypes: ['client.*.created'] }, '/eventTypes/0'],
  ['a rule of nothing', { filter: [{ path: '/type' }] }, '/filter/0'],
  ['an unknown operator', { filter: [{ path: '/type', matches: '.*' }] }, '/filter/0/matches'],
  ['no pointer', { filter: [{ path: 'type', equals: 'x' }] }, '/filter/0/path'],
  [
    'too deep',
    { filter: [{ not: { not: { not: { not: { not: { path: '/a', exists: true } } } } } }] },
    '/filter',
  ],
]
test.each(faults)(
  '%s is refused by create, update and preview, and it says where',
  async (_, part, pointer) => {
    const api = await world.newTenant()
    const { path } = await subscribed(api, {})
    const { url } = await aReceiver()
    for (const reply of [
      await api.post('/api/v1/webhook-endpoints', { url, ...part }),
      await api.patch(path, part),
      await api.post('/api/v1/webhook-previews', { eventType: 'client.created', ...part }),
    ]) {
      expect(reply.status).toBe(400)
      expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe(pointer)
    }
  },
)

test('a preview tells of an event whether it would be delivered, and what decides', async () => {
  const api = await world.newTenant()
  const id = await createClient(api, 'Ada', 'GBP')
  const { body } = await api.get('/api/v1/events?eventType=client.created')
  const eventId = body.data.find(({ data }: { data: { id: string } }) => data.id === id).id
  const preview = async (more: object) => {
    const reply = await api.post('/api/v1/webhook-previews', { eventId, ...more })
    expect(reply.status).toBe(200)
    return reply.body
  }
  const gbp = { path: '/data/currency', equals: 'GBP' }
  const eur = { path: '/data/currency', equals: 'EUR' }
  const delivered = { eventType: 'client.created', isDelivered: true, decidedBy: null, error: null }
  expect(await preview({})).toMatchObject(delivered)
  expect(await preview({ eventTypes: ['client.*'], filter: [gbp] })).toMatchObject(delivered)
  expect(await preview({ filter: [gbp, { all: [gbp, eur] }] })).toMatchObject({
    isDelivered: false,
    decidedBy: '/filter/1/all/1',
  })
  expect(await preview({ eventTypes: ['job.*'], filter: [eur] })).toMatchObject({
    isDelivered: false,
    decidedBy: '/eventTypes',
  })
  const ofExample = await api.post('/api/v1/webhook-previews', {
    eventType: 'client.deleted',
    filter: [{ path: '/type', equals: 'client.deleted' }],
  })
  expect(ofExample.body).toMatchObject({ ...delivered, eventType: 'client.deleted' })
})

test('a preview is of one event of one’s own, and changes nothing', async () => {
  const [api, neighbour] = [await world.newTenant(), await world.newTenant()]
  await createClient(neighbour, 'Ada', 'GBP')
  const theirs = (await neighbour.get('/api/v1/events')).body.data[0].id
  const ask = (body: object) => api.post('/api/v1/webhook-previews', body)
  expect(refusedWith(await ask({ eventId: theirs }), 'reference_unknown').errors[0].pointer).toBe(
    '/eventId',
  )
  refusedWith(await ask({}), 'invalid_request')
  refusedWith(await ask({ eventId: theirs, eventType: 'client.created' }), 'invalid_request')
  await ask({ eventType: 'client.created' })
  expect(await deliveriesOf(api)).toEqual([])
})
