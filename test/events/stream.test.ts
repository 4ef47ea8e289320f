import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { streamLimits } from '#events/streams.ts'
import { anotherWorker, aReceiver } from '../webhooks/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aTypeOfOnesOwn } from './fixture.ts'

import { openSocket } from './socket-reader.ts'
import { readStream, type StreamReader } from './stream-reader.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const usual = { ...streamLimits }
const open: StreamReader[] = []
afterEach(() => {
  Object.assign(streamLimits, usual)
  for (const reader of open.splice(0, open.length)) reader.close()
})

async function follow(api: Api, query = '', headers: Record<string, string> = {}) {
  const reader = await readStream(world, api, query, headers)
  open.push(reader)
  return reader
}

const within = { timeout: 10_000, interval: 20 }
const writing = async (api: Api, count: number, name = 'Ada') => {
  for (let turn = 0; turn < count; turn += 1) {
    await api.post('/api/v1/clients', { name, currency: 'GBP' })
  }
}
const tenantOf = async (api: Api) => (await api.get('/api/v1/me')).body.tenant.id

test('a stream tells what is there and then what happens, in order, in the bytes of the webhook', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  await api.post('/api/v1/webhook-endpoints', { url: receiver.url })
  await writing(api, 2)
  await world.drain()
  const reader = await follow(api, '?after=0')
  expect(reader.response.headers['content-type']).toBe('text/event-stream')
  await writing(api, 3, 'Bob "data: x')
  await world.drain()

  const listed = (await api.get('/api/v1/events?sort=position&limit=200')).body.data
  await expect.poll(() => reader.told.length, within).toBe(listed.length)
  expect(reader.told.map(({ id }) => id)).toEqual(listed.map((_: unknown, at: number) => at + 1))
  const sent = new Map(receiver.requests.map(({ headers, body }) => [headers['webhook-id'], body]))
  expect(sent.size).toBeGreaterThanOrEqual(5)
  for (const { data } of reader.told) {
    const { id } = JSON.parse(data)
    if (sent.has(id)) expect(data).toBe(sent.get(id)?.toString())
  }
})

test('without a position a stream begins now; one behind the end is refused, and so is a type that is none', async () => {
  const api = await world.newTenant()
  await writing(api, 1)
  await world.drain()
  const reader = await follow(api)
  await writing(api, 1, 'New')
  await expect.poll(() => reader.told.length, within).toBe(1)
  expect(JSON.parse(reader.told[0]?.data ?? '').data.name).toBe('New')

  const path = '/api/v1/events/stream'
  const far = refusedWith(await api.get(`${path}?after=9999`), 'invalid_request')
  expect(far.errors[0].parameter).toBe('after')
  const farId = refusedWith(await api.get(path, { 'last-event-id': '9999' }), 'invalid_request')
  expect(farId.errors[0].header).toBe('last-event-id')
  refusedWith(await api.get(path, { 'last-event-id': 'abc' }), 'invalid_request')
  const stray = await api.get(`${path}?eventType=client.*&eventType=client.eaten`)
  const { errors } = refusedWith(stray, 'invalid_request')
  expect(errors).toMatchObject([{ parameter: 'eventType', code: 'no_such_event' }])
  expect(errors[0].message).toBe('item 1 selects no type of event')
})

test('whoever comes back with Last-Event-ID again and again, while many write, hears each event once', async () => {
  const api = await world.newTenant()
  let isWriting = true
  const writers = Promise.all([1, 2, 3].map(() => writing(api, 12))).then(() => {
    isWriting = false
  })
  const ids: (number | undefined)[] = []
  for (let last = 0; ; ) {
    const reader = await follow(api, '', { 'last-event-id': String(last) })
    await new Promise((resolve) => setTimeout(resolve, 60))
    reader.close()
    ids.push(...reader.told.map(({ id }) => id))
    last = reader.lastId() || last
    if (isWriting) continue
    await world.drain()
    const [head] = await world.query<{ position: string }>(
      'select position from stream_head where tenant_id = $1',
      [await tenantOf(api)],
    )
    if (last === Number(head?.position)) break
  }
  await writers
  expect(ids.length).toBeGreaterThan(36)
  expect(ids).toEqual(ids.map((_, at) => at + 1))
}, 30_000)

test('a stream of some types tells those alone, and its signs of life move it past the others', async () => {
  streamLimits.aliveMs = 50
  const api = await world.newTenant()
  const reader = await follow(api, '?after=0&eventType=client.updated&eventType=client.deleted')
  const { body } = await api.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })
  await api.patch(`/api/v1/clients/${body.id}`, { phone: '1' })
  await api.delete(`/api/v1/clients/${body.id}`)
  await writing(api, 2)
  await world.drain()
  const head = (await api.get('/api/v1/events?sort=position&limit=200')).body.data.length
  await expect.poll(() => reader.lastId(), within).toBe(head)
  const types = reader.told.map(({ data }) => JSON.parse(data).type)
  expect(types).toEqual(['client.updated', 'client.deleted'])
})

test('a stream of some types gives signs of life while others keep happening, in both of its ways', async () => {
  streamLimits.aliveMs = 900
  const api = await world.newTenant()
  const reader = await follow(api, '?after=0&eventType=payment.*')
  const socket = await openSocket(world, api, '?after=0&eventType=payment.*')
  let isBusy = true
  // One of them comes before every 900 ms are over, so that the streams never rest for so long.
  const others = (async () => {
    while (isBusy) {
      await writing(api, 1)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  try {
    await expect.poll(() => reader.lastId(), within).toBeGreaterThan(0)
    await expect.poll(() => socket.lastPosition(), within).toBeGreaterThan(0)
  } finally {
    isBusy = false
    await others
  }
  expect(reader.told).toEqual([])
  expect(socket.told.slice(1).every(({ kind }) => kind === 'ALIVE')).toBe(true)
  socket.socket.close()
})

test('a stream may be of types that begin alike, and of types of one’s own', async () => {
  const api = await world.newTenant()
  const type = await aTypeOfOnesOwn(api)
  const reader = await follow(api, `?after=0&eventType=client.*&eventType=${type}`)
  await writing(api, 1)
  await api.post('/api/v1/events', { type, data: {} })
  await expect.poll(() => reader.told.length, within).toBe(2)
  const types = reader.told.map(({ data }) => JSON.parse(data).type)
  expect(types).toEqual(['client.created', type])
})

test('a process that does not sequence tells events all the same', async () => {
  const apart = await startWorld({ parts: ['api'] })
  const worker = anotherWorker(apart)
  const reader = await readStream(apart, apart.api)
  await apart.api.post('/api/v1/clients', { name: 'Far', currency: 'GBP' })
  await expect.poll(() => reader.told.length, within).toBe(1)
  reader.close()
  await worker.stop()
  await apart.stop()
})

test('a stream ends within seconds of its key’s revocation, and says why', async () => {
  const api = await world.newTenant()
  const { body } = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['events:read'] })
  const reader = await follow(world.callsWith(body.key))
  const revokedAt = performance.now()
  await api.post(`/api/v1/api-keys/${body.id}/revocation`)
  await expect.poll(() => reader.isOver(), within).toBe(true)
  expect(performance.now() - revokedAt).toBeLessThan(5_000)
  expect(reader.told.at(-1)).toMatchObject({ event: 'end', data: '{"reason":"ACCESS"}' })
})

test('so it does when the key loses the scope', async () => {
  const api = await world.newTenant()
  const { body } = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['events:read'] })
  const reader = await follow(world.callsWith(body.key))
  await api.patch(`/api/v1/api-keys/${body.id}`, { scopes: ['clients:read'] })
  await expect.poll(() => reader.isOver(), within).toBe(true)
  expect(reader.told.at(-1)?.data).toBe('{"reason":"ACCESS"}')
})

test('a stream is no call: it is counted once, as quickly as it began, and takes no place among calls', async () => {
  const api = await world.newTenant()
  const { body } = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['events:read'] })
  const reader = await follow(world.callsWith(body.key))
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  reader.close()
  const rows = () =>
    world.query<{ ms: number; calls: number }>(
      `select duration_ms as ms, (select sum(calls)::int from api_key_usage
         where api_key_id = $1) as calls
       from request_log where operation_id = 'getEventStream' and api_key_id = $1`,
      [body.id],
    )
  await expect
    .poll(async () => (await rows()).filter(({ calls }) => calls !== null).length, within)
    .toBe(1)
  const [row] = await rows()
  expect(row?.calls).toBe(1)
  expect(Number(row?.ms)).toBeLessThan(2_000)
})

test('a key has ten streams, and a place again when one ends', async () => {
  const api = await world.newTenant()
  const readers = []
  for (let count = 0; count < 10; count += 1) readers.push(await follow(api))
  const refused = await api.get('/api/v1/events/stream')
  expect(refusedWith(refused, 'quota_exceeded')['violated-policies']).toEqual(['streams'])
  expect(refused.headers.get('retry-after')).toBe('5')
  readers[0]?.close()
  await expect
    .poll(
      () =>
        follow(api).then(
          () => true,
          () => false,
        ),
      within,
    )
    .toBe(true)
})

test('all keys of a tenant together have twenty streams', async () => {
  const api = await world.newTenant()
  for (let count = 0; count < 3; count += 1) {
    const { body } = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['events:read'] })
    const key = world.callsWith(body.key)
    const mine = count < 2 ? 10 : 0
    for (let turn = 0; turn < mine; turn += 1) await follow(key)
    if (count === 2) refusedWith(await key.get('/api/v1/events/stream'), 'quota_exceeded')
  }
})

test('who does not read is held up and cut off, the feed is not kept in memory for it, and others go on', async () => {
  streamLimits.stalledMs = 1_000
  const api = await world.newTenant()
  await writing(api, 60)
  await world.drain()
  await world.query(
    `update event set body = convert_to(jsonb_set(convert_from(body, 'utf8')::jsonb,
       '{data,name}', to_jsonb(repeat('x', 1000000)))::text, 'utf8')
     where type = 'client.created' and tenant_id = $1`,
    [await tenantOf(api)],
  )
  const { hostname, port } = new URL(world.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.pause()
  socket.write(
    `GET /api/v1/events/stream?after=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${api.key}\r\n\r\n`,
  )
  const other = await follow(api)
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  let bytes = 0
  socket.on('data', (piece: Buffer) => {
    bytes += piece.length
  })
  socket.on('error', () => undefined)
  socket.resume()
  await once(socket, 'close')
  expect(bytes).toBeGreaterThan(0)
  expect(bytes, 'of some 60 MB').toBeLessThan(20_000_000)
  await writing(api, 1, 'After')
  await expect.poll(() => other.told.length, within).toBe(1)
}, 30_000)

test('a process that stops tells its streams to come back, and opens no more', async () => {
  const leaving = await startWorld()
  const reader = await readStream(leaving, leaving.api)
  const stopped = leaving.stop()
  await expect.poll(() => reader.isOver(), within).toBe(true)
  expect(reader.told.at(-1)).toMatchObject({ event: 'end', data: '{"reason":"SHUTDOWN"}' })
  await stopped
})
