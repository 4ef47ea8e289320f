import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const full = {
  name: 'Ada Ltd',
  currency: 'GBP',
  email: 'ada@example.com',
  phone: '1',
  taxNumber: 'GB1',
  externalId: 'crm-1',
  address: { line1: 'One Street', city: 'London', country: 'GB' },
  metadata: { tier: 'gold', note: 'old' },
}

async function make(): Promise<{ api: Api; path: string; id: string }> {
  const api = await world.newTenant()
  const { body } = await api.post('/api/v1/clients', full)
  return { api, path: `/api/v1/clients/${body.id}`, id: body.id }
}

/** The last event about a client, as it will be sent. */
async function lastEvent(id: string) {
  const [row] = await world.query<{ body: string }>(
    `select convert_from(body, 'UTF8') as body from event
     where body like convert_to('%' || $1 || '%', 'UTF8') order by id desc limit 1`,
    [id],
  )
  return JSON.parse(row?.body ?? 'null')
}

test('what a patch leaves out stays, null clears, objects are merged, and the event says what changed', async () => {
  const { api, path, id } = await make()
  const patch = {
    phone: null,
    email: 'new@example.com',
    address: { city: null, line2: 'Back door' },
    metadata: { note: null, colour: 'red' },
  }
  const patched = await api.patch(path, patch)
  expect(patched.status).toBe(200)
  expect(patched.headers.get('etag')).toBe('"2"')
  expect(patched.body).toMatchObject({
    name: 'Ada Ltd',
    phone: null,
    email: 'new@example.com',
    taxNumber: 'GB1',
    address: { line1: 'One Street', line2: 'Back door', city: null, country: 'GB' },
    metadata: { tier: 'gold', colour: 'red' },
    revision: 2,
  })
  expect(patched.body.metadata).not.toHaveProperty('note')
  const event = await lastEvent(id)
  expect(event).toMatchObject({ type: 'client.updated', data: patched.body })
  expect(event.changedFields.sort()).toEqual(['address', 'email', 'metadata', 'phone'])

  const [entry] = await world.query(
    "select before, after from audit where resource_id = $1 and action = 'client.updated'",
    [id],
  )
  expect(entry?.before).toMatchObject({ phone: '1', email: 'ada@example.com' })
  expect(entry?.after).toMatchObject({ phone: null, email: 'new@example.com' })
  expect(entry?.after).not.toHaveProperty('name')
})

test('a patch that changes nothing is an answer without a revision, an event or an audit entry', async () => {
  const { api, path, id } = await make()
  for (const patch of [{}, { name: 'Ada Ltd' }, { metadata: { absent: null } }, { address: {} }]) {
    const reply = await api.patch(path, patch)
    expect(reply.status).toBe(200)
    expect(reply.body.revision).toBe(1)
  }
  expect((await lastEvent(id)).type).toBe('client.created')
  expect(await world.query('select 1 from audit where resource_id = $1', [id])).toHaveLength(1)
})

test('an address can be cleared as a whole and come back in part', async () => {
  const { api, path } = await make()
  expect((await api.patch(path, { address: null })).body.address).toBeNull()
  const { address } = (await api.patch(path, { address: { city: 'Ulm' } })).body
  expect(address).toMatchObject({ city: 'Ulm', line1: null })
  expect((await api.patch(path, { metadata: null })).body.metadata).toEqual({})
  refusedWith(await api.patch(path, { name: null }), 'invalid_request')
})

test('a name in metadata is only a name, whatever it means to JavaScript', async () => {
  const { api, path } = await make()
  const words = '{"metadata":{"__proto__":"a","constructor":"b","tier":null,"note":null}}'
  expect((await api.patch(path, words)).status).toBe(200)
  const { metadata } = (await api.get(path)).body
  expect(Object.entries(metadata).sort()).toEqual([
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ])
})

test('of many changes at once none is lost: each is a revision, an event, or a conflict', async () => {
  const { api, path, id } = await make()
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, at) => api.patch(path, { metadata: { [`n${at}`]: 'x' } })),
  )
  const done = replies.filter(({ status }) => status === 200)
  for (const reply of replies.filter(({ status }) => status !== 200)) refusedWith(reply, 'conflict')
  expect(done.length).toBeGreaterThan(0)
  const { revision, metadata } = (await api.get(path)).body
  expect(revision).toBe(1 + done.length)
  expect(Object.keys(metadata).filter((name) => /^n\d/.test(name))).toHaveLength(done.length)
  const events = await world.query(
    `select 1 from event where type = 'client.updated' and body like convert_to('%' || $1 || '%', 'UTF8')`,
    [id],
  )
  expect(events).toHaveLength(done.length)
})

test('of many changes of one revision exactly one is made', async () => {
  const { api, path } = await make()
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      api.patch(path, { phone: `p${at}` }, { 'if-match': '"1"' }),
    ),
  )
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
  for (const { status } of replies.filter(({ status }) => status !== 200)) {
    expect([409, 412]).toContain(status)
  }
  expect((await api.get(path)).body.revision).toBe(2)
})

test('of many who take one externalId exactly one gets it, and it is free after a deletion', async () => {
  const api = await world.newTenant()
  const take = () => api.post('/api/v1/clients', { ...full, externalId: 'only-one' })
  const replies = await Promise.all(Array.from({ length: 10 }, take))
  const made = replies.filter(({ status }) => status === 201)
  expect(made).toHaveLength(1)
  for (const reply of replies.filter(({ status }) => status !== 201)) {
    refusedWith(reply, 'external_id_taken')
  }
  await api.delete(`/api/v1/clients/${made[0]?.body.id}`)
  expect((await take()).status).toBe(201)
})
