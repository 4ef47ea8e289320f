import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { streamLimits } from '#events/streams.ts'
import { pulse } from '#http/channel.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { aClient, publishAtOnce, tenantOf } from './fixture.ts'
import { openSocket, type SocketReader } from './socket-reader.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const usual = { ...streamLimits }
const usualPulse = { ...pulse }
const open: SocketReader[] = []
afterEach(() => {
  Object.assign(streamLimits, usual)
  Object.assign(pulse, usualPulse)
  for (const { socket } of open.splice(0, open.length)) socket.terminate()
})

const within = { timeout: 10_000, interval: 20 }

async function follow(api: Pick<Api, 'key'>, query = '', headers: Record<string, string> = {}) {
  const reader = await openSocket(world, api, query, headers)
  open.push(reader)
  return reader
}

/** A refused upgrade: its status and problem. */
async function refusal(api: Pick<Api, 'key'>, query = '', headers: Record<string, string> = {}) {
  const error = await follow(api, query, headers).then(
    () => undefined,
    (refused) => refused,
  )
  if (error?.response === undefined) throw error ?? new Error('it was opened')
  return { status: error.response.statusCode, body: JSON.parse(error.text) }
}

const aKey = async (api: Api, scopes = ['events:read']) =>
  (await api.post('/api/v1/api-keys', { name: 'K', scopes })).body

test('a WebSocket tells what is there and then what happens, in the order and the words of the feed', async () => {
  const api = await world.newTenant()
  await aClient(api)
  await world.drain()
  const reader = await follow(api, '?after=0')
  expect(reader.headers).toMatchObject({
    'x-request-id': expect.stringMatching(/^req_/),
    'server-timing': expect.stringContaining('total'),
    'ratelimit-policy': expect.any(String),
  })
  expect(reader.headers['sec-websocket-extensions']).toBeUndefined()
  await aClient(api)
  await world.drain()
  const listed = (await api.get('/api/v1/events?sort=position&limit=200')).body.data
  await expect.poll(() => reader.events().length, within).toBe(listed.length)
  expect(reader.told[0]).toEqual({ kind: 'HELLO', position: 0 })
  const told = reader.events().map(({ position, event }) => ({ ...event, position }))
  expect(told).toEqual(listed)
})

test('10,000 events are told once each over three breaks, while others are written', async () => {
  const api = await world.newTenant()
  const tenant = await tenantOf(api)
  const client = await aClient(api)
  const writing = (async () => {
    for (let batch = 0; batch < 20; batch += 1) await publishAtOnce(world, tenant, client, 500)
  })()
  const positions: number[] = []
  let after = 0
  for (const breakAt of [1_500, 4_000, 7_000, Number.POSITIVE_INFINITY]) {
    const reader = await follow(api, `?after=${after}`)
    const isDone = () => positions.length + reader.events().length >= Math.min(breakAt, 10_001)
    await expect.poll(isDone, { timeout: 60_000, interval: 5 }).toBe(true)
    reader.socket.terminate()
    await reader.ended
    positions.push(...reader.events().map(({ position }) => position))
    after = positions.at(-1) ?? 0
  }
  await writing
  // organization.created comes to no sandbox: the client, and what was published.
  const { length } = positions
  expect(length).toBeGreaterThanOrEqual(10_001)
  expect(positions).toEqual(Array.from({ length }, (_, at) => at + 1))
}, 120_000)

test('RESUME goes on elsewhere and with other types on the same connection, and everything behind the new HELLO is of the new place', async () => {
  const api = await world.newTenant()
  const client = await aClient(api)
  await api.patch(`/api/v1/clients/${client.id}`, { phone: '1' })
  await world.drain()
  const reader = await follow(api, '?after=0')
  const head = (await api.get('/api/v1/events?sort=position&limit=200')).body.data.length
  await expect.poll(() => reader.events().length, within).toBe(head)
  reader.say({ kind: 'RESUME', after: 0, eventTypes: ['client.updated'] })
  await expect.poll(() => reader.told.filter(({ kind }) => kind === 'HELLO').length, within).toBe(2)
  await expect.poll(() => reader.events().length, within).toBe(head + 1)
  expect(reader.told.at(-1).event.type).toBe('client.updated')
  reader.say({ kind: 'PING', id: '7' })
  await expect.poll(() => reader.told.at(-1), within).toEqual({ kind: 'PONG', id: '7' })
  await api.patch(`/api/v1/clients/${client.id}`, { phone: '2' })
  await expect.poll(() => reader.events().length, within).toBe(head + 2)
  // A place that was left is free again: ten times more would be twelve.
  for (let turn = 0; turn < 12; turn += 1) reader.say({ kind: 'RESUME', after: 0 })
  const hellos = () => reader.told.filter(({ kind }) => kind === 'HELLO').length
  await expect.poll(hellos, within).toBeGreaterThanOrEqual(3)
  await expect.poll(() => reader.lastPosition(), within).toBe(head + 1)
  for (let more = 0; more < 9; more += 1) await follow(api)
  expect((await refusal(api)).status).toBe(429)
})

test('RESUME takes types that begin alike, and refuses to wait for what there is not', async () => {
  const api = await world.newTenant()
  await aClient(api)
  await world.drain()
  const reader = await follow(api)
  reader.say({ kind: 'RESUME', after: 0, eventTypes: ['client.*'] })
  await expect.poll(() => reader.events().length, within).toBe(1)
  expect(reader.told.at(-1).event.type).toBe('client.created')
  reader.say({ kind: 'RESUME', after: 0, eventTypes: ['client.*', 'clients.*'] })
  await expect.poll(() => reader.told.at(-1).kind, within).toBe('END')
  expect(reader.told.at(-1).detail).toBe('/eventTypes/1 selects no type of event.')
})

test('what refuses any call refuses a WebSocket before it is one, as a problem that says why', async () => {
  const api = await world.newTenant()
  const { key } = await aKey(api, ['clients:read'])
  expect(await refusal({ key: 'ubk_test_nobody' })).toMatchObject({ status: 401 })
  expect(await refusal({ key })).toMatchObject({
    status: 403,
    body: { code: 'insufficient_scope' },
  })
  const far = await refusal(api, '?after=9999')
  expect(far).toMatchObject({ status: 400, body: { errors: [{ parameter: 'after' }] } })
  expect(await refusal(api, '?eventType=client.eaten')).toMatchObject({ status: 400 })
  // A key is in the header or nowhere.
  const inQuery = await refusal({ key: '' }, `?key=${api.key}`)
  expect(inQuery.status).toBe(401)
  const subprotocol = await refusal({ key: '' }, '', { 'sec-websocket-protocol': api.key })
  expect(subprotocol.status).toBe(401)
})

test.for([
  ['sec-websocket-version', '12'],
  ['sec-websocket-key', 'short'],
])('a handshake whose %s is wrong is refused by name', async ([header = '', value = '']) => {
  const { hostname, port } = new URL(world.url)
  const headers: Record<string, string> = {
    host: 'x',
    authorization: `Bearer ${world.api.key}`,
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    [header]: value,
  }
  const lines = Object.entries(headers).map(([name, text]) => `${name}: ${text}\r\n`)
  const socket = connect(Number(port), hostname)
  let answer = ''
  socket.on('data', (piece) => {
    answer += piece
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(`GET /api/v1/events/stream HTTP/1.1\r\n${lines.join('')}\r\n`)
  await closed
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(answer).toMatch(/sec-websocket-version: 13/i)
  expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '').errors[0].header).toBe(header)
})

test('elsewhere, and for other protocols, Upgrade is ignored', async () => {
  const headers = { connection: 'upgrade', upgrade: 'websocket' }
  const { hostname, port } = new URL(world.url)
  const ask = async (path: string, upgrade: string) => {
    const socket = connect(Number(port), hostname)
    const lines = Object.entries({ ...headers, upgrade, authorization: `Bearer ${world.api.key}` })
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: x\r\n${lines.map(([a, b]) => `${a}: ${b}\r\n`).join('')}\r\n`,
    )
    const answer = await new Promise((resolve) => socket.once('data', (data) => resolve(`${data}`)))
    socket.destroy()
    return answer
  }
  expect(await ask('/api/v1/me', 'websocket')).toMatch(/^HTTP\/1\.1 200 /)
  expect(await ask('/api/v1/events/stream', 'h2c')).toMatch(/^HTTP\/1\.1 200 /)
})

test('a WebSocket ends within a second of its key’s revocation, and says why', async () => {
  const api = await world.newTenant()
  const { id, key } = await aKey(api)
  const reader = await follow({ key })
  await api.post(`/api/v1/api-keys/${id}/revocation`)
  const revokedAt = performance.now()
  expect(await reader.ended).toEqual({ code: 1008, reason: 'ACCESS' })
  expect(performance.now() - revokedAt).toBeLessThan(1_200)
  expect(reader.told.at(-1)).toEqual({ kind: 'END', reason: 'ACCESS' })
})

test('two tenants hear each of their own events and nothing of the other’s', async () => {
  const [one, two] = [await world.newTenant(), await world.newTenant()]
  const [mine, theirs] = [await follow(one, '?after=0'), await follow(two, '?after=0')]
  const [first, second] = [await aClient(one), await aClient(two)]
  await world.drain()
  await expect.poll(() => JSON.stringify(mine.told), within).toContain(first.id)
  await expect.poll(() => JSON.stringify(theirs.told), within).toContain(second.id)
  expect(JSON.stringify(mine.told)).not.toContain(second.id)
  expect(JSON.stringify(theirs.told)).not.toContain(first.id)
})

test.for<[string, (reader: SocketReader) => void, number, string]>([
  ['bytes', ({ socket }) => socket.send(Buffer.from('{}')), 1003, 'NOT_TEXT'],
  ['no JSON', ({ socket }) => socket.send('{"kind":'), 1007, 'MALFORMED'],
  ['a message that there is not', ({ say }) => say({ kind: 'SHOUT' }), 1007, 'MALFORMED'],
  ['a field too many', ({ say }) => say({ kind: 'PING', to: 'me' }), 1007, 'MALFORMED'],
  ['a position that is none', ({ say }) => say({ kind: 'RESUME', after: -1 }), 1007, 'MALFORMED'],
  ['one behind the end', ({ say }) => say({ kind: 'RESUME', after: 99_999 }), 1007, 'MALFORMED'],
  ['5 KiB', ({ say }) => say({ kind: 'PING', id: 'x'.repeat(5_000) }), 1009, ''],
  [
    'a hundred messages',
    ({ say }) => Array.from({ length: 100 }).forEach(() => void say({ kind: 'PING' })),
    1008,
    'TOO_MANY',
  ],
])('a WebSocket on which %s is sent is closed, and says why', async ([, send, code, reason]) => {
  const reader = await follow(await world.newTenant())
  send(reader)
  expect(await reader.ended).toEqual({ code, reason })
  if (reason !== '') expect(reader.told.at(-1)).toMatchObject({ kind: 'END', reason })
})

test('text that is not UTF-8 is closed with 1007, and a frame that breaks the protocol with 1002', async () => {
  const broken = await follow(await world.newTenant())
  // A masked text frame of the one byte 0xff, and one with a reserved bit.
  const { _socket: wire } = broken.socket as unknown as { _socket: NodeJS.WritableStream }
  wire.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]))
  expect((await broken.ended).code).toBe(1007)
  const odd = await follow(await world.newTenant())
  const { _socket: other } = odd.socket as unknown as { _socket: NodeJS.WritableStream }
  other.write(Buffer.from([0xf1, 0x81, 0, 0, 0, 0, 0x41]))
  expect((await odd.ended).code).toBe(1002)
})

test('who does not read is held up, and told so when it reads again; the feed is not kept in memory for it', async () => {
  streamLimits.stalledMs = 1_000
  const api = await world.newTenant()
  const tenant = await tenantOf(api)
  await publishAtOnce(world, tenant, await aClient(api), 60)
  await world.drain()
  await world.query(
    `update event set body = convert_to(jsonb_set(convert_from(body, 'utf8')::jsonb,
       '{data,name}', to_jsonb(repeat('x', 1000000)))::text, 'utf8')
     where type = 'client.created' and tenant_id = $1`,
    [tenant],
  )
  const reader = await follow(api, '?after=0')
  reader.socket.pause()
  const other = await follow(api)
  await new Promise((resolve) => setTimeout(resolve, 1_800))
  await aClient(api)
  await expect.poll(() => other.events().length, within).toBe(1)
  reader.socket.resume()
  expect((await reader.ended).code).toBe(1008)
  expect(reader.told.at(-1)).toEqual({ kind: 'END', reason: 'SLOW_READER' })
  expect(reader.events().length, 'of 61').toBeLessThan(30)
}, 30_000)

test('who gives no sign of life is gone', async () => {
  Object.assign(pulse, { askEveryMs: 50, goneAfterMs: 200 })
  const reader = await follow(await world.newTenant())
  // It answers no ping any more.
  reader.socket.pause()
  await new Promise((resolve) => setTimeout(resolve, 600))
  reader.socket.resume()
  expect((await reader.ended).code).toBe(1006)
})

test('a WebSocket is no call: it is written down once, with 101, and takes no place among calls', async () => {
  const api = await world.newTenant()
  const { id, key } = await aKey(api)
  const reader = await follow({ key })
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  reader.socket.close()
  const rows = () =>
    world.query<{ status: number; ms: number }>(
      `select status, duration_ms as ms from request_log
       where operation_id = 'getEventStream' and api_key_id = $1`,
      [id],
    )
  await expect.poll(async () => (await rows()).length, within).toBe(1)
  const [row] = await rows()
  expect(row?.status).toBe(101)
  expect(row?.ms).toBeLessThan(1_000)
})

test('a reader that has gone leaves its place at once', async () => {
  const { key } = await aKey(await world.newTenant())
  const readers: SocketReader[] = []
  for (let count = 0; count < 10; count += 1) readers.push(await follow({ key }))
  expect(await refusal({ key })).toMatchObject({ status: 429, body: { code: 'quota_exceeded' } })
  readers[0]?.socket.terminate()
  await expect.poll(() => follow({ key }).then(Boolean, () => false), within).toBe(true)
})

test('a process that stops tells its WebSockets to come back, and cuts those that do not listen', async () => {
  const leaving = await startWorld()
  const reader = await openSocket(leaving, leaving.api)
  const deaf = await openSocket(leaving, leaving.api)
  deaf.socket.pause()
  const startedAt = performance.now()
  const stopped = leaving.stop()
  expect(await reader.ended).toEqual({ code: 1012, reason: 'SHUTDOWN' })
  expect(reader.told.at(-1)).toEqual({ kind: 'END', reason: 'SHUTDOWN' })
  await stopped
  expect(performance.now() - startedAt).toBeLessThan(5_000)
  deaf.socket.terminate()
})
