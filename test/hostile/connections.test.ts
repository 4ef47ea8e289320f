import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openDoor } from '#app.ts'
import { routes } from '#generated/routes.ts'
import { mount } from '#http/mount.ts'
import { createServer } from '#http/server.ts'
import { operations } from '#operations.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { repliesIn, type WireReply, written } from './wire.ts'

/** A good call takes milliseconds; on a busy machine it may take longer, but never a time-out. */
const goodCallMsMax = 5_000

vi.setConfig({ testTimeout: 60_000 })

let world: World
let url: string
let server: Server
let stopApi: () => Promise<void>
beforeAll(async () => {
  world = await startWorld({ parts: [] })
  const door = openDoor(world.ctx)
  const app = createServer(world.ctx, Object.values(routes))
  mount(app, door, Object.values(routes), operations)
  server = app.server
  url = await app.listen({ host: '127.0.0.1', port: 0 })
  stopApi = async () => {
    await app.close()
    await door.close()
  }
})
afterAll(async () => {
  await stopApi()
  await world.stop()
})

interface Line {
  socket: Socket
  /** All that came back, once the connection is closed. */
  closed: Promise<WireReply[]>
  /** Resolves once so many answers have come. */
  answered(count: number): Promise<WireReply[]>
}

async function open(): Promise<Line> {
  const { hostname, port } = new URL(url)
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true })
  const chunks: Buffer[] = []
  const replies = () => repliesIn(Buffer.concat(chunks))
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('end', () => socket.destroy())
  socket.on('error', () => undefined)
  const closed = new Promise<WireReply[]>((resolve) => {
    socket.once('close', () => resolve(replies()))
  })
  await new Promise((resolve) => socket.once('connect', resolve))
  const answered = (count: number) =>
    new Promise<WireReply[]>((resolve, reject) => {
      const look = () => {
        const text = Buffer.concat(chunks).toString('latin1')
        if (text.split('HTTP/1.1 ').length > count && text.endsWith('}')) resolve(replies())
      }
      socket.on('data', look)
      socket.once('close', () => reject(new Error('closed before it was answered')))
      look()
    })
  return { socket, closed, answered }
}

const openMany = (count: number): Promise<Line[]> =>
  Promise.all(Array.from({ length: count }, open))

async function newTenant(): Promise<Api> {
  const path = `${url}/api/v1/organizations`
  const { body } = await world.operator.post(path, { name: 'Slow' })
  return world.callsWith(body.adminKeys[1].key)
}

async function goodCallMs(): Promise<number> {
  const startedMs = performance.now()
  expect((await world.api.get(`${url}/api/v1/me`)).status).toBe(200)
  return performance.now() - startedMs
}

const keptAlive = (path: string, key?: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${key ? `Authorization: Bearer ${key}\r\n` : ''}\r\n`

const client = '{"name":"Piped","currency":"EUR"}'
const clientPosted = (): string =>
  'POST /api/v1/clients HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
  `Authorization: Bearer ${world.api.key}\r\nContent-Length: ${client.length}\r\n\r\n${client}`

test('200 callers who send a byte now and then keep nobody waiting, and are given up on', async () => {
  // Who sends slowly spends what its own tenant may do at once, and nobody else's.
  const { key } = await newTenant()
  const lines = await openMany(200)
  const head = `POST /api/v1/clients HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${key}\r\n`
  for (const [at, { socket }] of lines.entries()) {
    const isInBody = at % 2 === 0
    socket.write(head)
    if (isInBody) socket.write('Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{')
    const drip = setInterval(() => socket.write(isInBody ? ' ' : 'X-A: b\r\n'), 200)
    socket.once('close', () => clearInterval(drip))
  }
  expect(await goodCallMs()).toBeLessThan(goodCallMsMax)
  const startedMs = performance.now()
  const usual = { headersTimeout: server.headersTimeout, requestTimeout: server.requestTimeout }
  Object.assign(server, { headersTimeout: 1_000, requestTimeout: 2_000 })
  const all = await Promise.all(lines.map(({ closed }) => closed))
  expect(performance.now() - startedMs).toBeLessThan(25_000)
  Object.assign(server, usual)
  for (const replies of all) {
    // 64 of them are let in at once; the others are told so, or are cut off before.
    expect(replies).toHaveLength(1)
    expect(['request_timeout', 'quota_exceeded']).toContain(JSON.parse(replies[0]?.text ?? '').code)
  }
})

test('connections on which nothing comes, or half of which is closed, stop nobody', async () => {
  const lines = await openMany(100)
  for (const [at, { socket }] of lines.entries()) if (at % 2 === 0) socket.end()
  expect(await goodCallMs()).toBeLessThan(goodCallMsMax)
  await Promise.all(lines.map(({ closed }) => closed))
})

test('1,000 connections that are kept alive are all answered, twice, and so is everybody else', async () => {
  const lines = await openMany(1_000)
  for (const turn of [1, 2]) {
    for (const { socket } of lines) socket.write(keptAlive('/livez'))
    const all = await Promise.all(lines.map(({ answered }) => answered(turn)))
    expect(new Set(all.map((replies) => replies.at(-1)?.status))).toEqual(new Set([200]))
  }
  expect(await goodCallMs()).toBeLessThan(goodCallMsMax)
  for (const { socket } of lines) socket.destroy()
})

test('100 requests in one packet are answered in their order', async () => {
  const { socket, answered } = await open()
  const paths = Array.from({ length: 100 }, (_, at) => (at % 3 === 0 ? '/nowhere' : '/livez'))
  socket.write(paths.map((path) => keptAlive(path)).join(''))
  const statuses = (await answered(100)).map(({ status }) => status)
  expect(statuses).toEqual(paths.map((path) => (path === '/livez' ? 200 : 404)))
  socket.destroy()
})

test.for([
  ['garbage', '\x01garbage\r\n\r\n'],
  ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
] as const)(
  'a write that was done is answered as done, though %s comes behind it',
  async ([, garbage]) => {
    const { socket, closed } = await open()
    socket.write(keptAlive('/api/v1/me', world.api.key) + clientPosted() + garbage)
    const replies = await closed
    expect(replies.map(({ status }) => status)).toEqual([200, 201, 400])
    expect(JSON.parse(replies[1]?.text ?? '')).toMatchObject({ name: 'Piped' })
    expect(JSON.parse(replies[2]?.text ?? '')).toMatchObject({ code: 'invalid_request' })
  },
)

test('what a caller sends after garbage is not read, and is answered once', async () => {
  const { socket, closed } = await open()
  const before = await countOfClients()
  socket.write('garbage\r\n\r\n')
  socket.write(clientPosted())
  expect((await closed).map(({ status }) => status)).toEqual([400])
  expect(await countOfClients()).toBe(before)
})

test.for([
  ['a length and chunks', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
  ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', '0\r\n\r\n'],
  ['two lengths', 'Content-Length: 0\r\nContent-Length: 5\r\n', ''],
  ['a coding on top', 'Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n'],
  ['a coding twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n', '0\r\n\r\n'],
  ['a space before the colon', 'Transfer-Encoding : chunked\r\nContent-Length: 0\r\n', ''],
  ['a bare line feed', 'Content-Length: 0\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
] as const)('a request that hides behind %s is not carried out', async ([, headers, body]) => {
  const { socket, closed } = await open()
  const before = await countOfClients()
  const head = `POST /api/v1/clients HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${world.api.key}`
  const type = 'Content-Type: application/json'
  socket.write(`${head}\r\n${type}\r\n${headers}\r\n${body}${clientPosted()}`)
  expect((await closed).map(({ status }) => status)).toEqual([400])
  expect(await countOfClients()).toBe(before)
})

async function countOfClients(): Promise<string | undefined> {
  const [row] = await world.query<{ count: string }>('select count(*) from client')
  return row?.count
}

test('a caller who hangs up in the middle costs nothing but its connection', async () => {
  const whole = written({
    method: 'POST',
    path: '/api/v1/clients',
    body: client,
    key: world.api.key,
  })
  const lines = await openMany(100)
  for (const [at, { socket }] of lines.entries()) {
    socket.write(whole.subarray(0, Math.ceil((whole.length * (at + 1)) / 101)))
    socket.resetAndDestroy()
  }
  await Promise.all(lines.map(({ closed }) => closed))
  expect(await goodCallMs()).toBeLessThan(goodCallMsMax)
})
