import { afterAll, beforeAll, expect, test } from 'vitest'
import { createServer } from '#http/server.ts'
import { refusedWith, startWorld, type World } from '../world.ts'
import { exchange, type RawReply, requestText } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const ask = (line: string, headers: Record<string, string> = {}, body = ''): Promise<RawReply> =>
  exchange(world.url, requestText(line, headers, body))

/** A refusal as the contract has it, whatever refused it. */
function problemIn({ status, headers, text }: RawReply, code: string) {
  expect(headers['content-type']).toMatch(/^application\/problem\+json/)
  const body = JSON.parse(text)
  expect(body).toMatchObject({ code, status, type: `/problems/${code}` })
  expect(body.requestId).toMatch(/^req_[0-9a-hjkmnp-tv-z]{26}$/)
  return body
}

test.for(['PUT', 'DELETE', 'PATCH', 'TRACE', 'QUERY', 'PROPFIND', 'LOCK', 'M-SEARCH', 'PURGE'])(
  '%s on a path that does not know it is a 405 that says what is allowed, without a key',
  async (method) => {
    const reply = await ask(`${method} /api/v1/clients`)
    expect(reply.status).toBe(405)
    expect(reply.headers.allow).toBe('GET, HEAD, OPTIONS, POST')
    problemIn(reply, 'method_not_allowed')
  },
)

test('a path with parameters allows what each of its operations is', async () => {
  const reply = await ask('POST /api/v1/clients/anything%20at%20all')
  expect(reply.headers.allow).toBe('DELETE, GET, HEAD, OPTIONS, PATCH')
  problemIn(reply, 'method_not_allowed')
})

test('OPTIONS says what is allowed, to other origins too, without a key', async () => {
  const reply = await ask('OPTIONS /api/v1/clients', {
    origin: 'https://elsewhere.example',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, idempotency-key',
  })
  expect(reply).toMatchObject({ status: 204, text: '' })
  expect(reply.headers).toMatchObject({
    allow: 'GET, HEAD, OPTIONS, POST',
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET, HEAD, OPTIONS, POST',
  })
  for (const name of ['authorization', 'content-type', 'idempotency-key', 'if-match']) {
    expect(reply.headers['access-control-allow-headers']).toContain(name)
  }
  expect(reply.headers['access-control-allow-credentials']).toBeUndefined()
})

test('HEAD is GET without a body', async () => {
  const headers = { authorization: `Bearer ${world.api.key}` }
  const [head, get] = [await ask('HEAD /api/v1/me', headers), await ask('GET /api/v1/me', headers)]
  expect(head).toMatchObject({ status: 200, text: '' })
  expect(head.headers['content-length']).toBe(get.headers['content-length'])
  expect(head.headers['content-type']).toBe(get.headers['content-type'])
  expect((await ask('HEAD /api/v1/me')).status).toBe(401)
})

test.for([
  'GET /api/v1',
  'GET //api/v1/clients',
  'GET /API/v1/clients',
  'GET /api/v1/clients/a/b',
  'GET /api/v1/api-keys/a/revocation/',
  'OPTIONS *',
])('%s is not of the contract, and so a 404', async (line) => {
  const reply = await ask(line)
  expect(reply.status).toBe(404)
  problemIn(reply, 'route_not_found')
})

test('an unknown path is a 404 before its body is looked at', async () => {
  const headers = { 'content-length': String(5 * 1024 * 1024), 'content-type': 'nonsense' }
  expect((await ask('POST /api/v1/nowhere', headers)).status).toBe(404)
  expect((await ask('PUT /api/v1/clients', headers)).status).toBe(405)
})

test('a body of a mebibyte is read, and a byte more is refused, chunked or not', async () => {
  const { api } = world
  const mebibyte = 1024 * 1024
  const padded = (bytes: number) => '{"name":"Ada","currency":"EUR"}'.padEnd(bytes)
  expect((await api.post('/api/v1/clients', padded(mebibyte))).status).toBe(201)
  const refused = await api.post('/api/v1/clients', padded(mebibyte + 1))
  expect(refused.status).toBe(413)
  refusedWith(refused, 'payload_too_large')

  const chunked = await fetch(`${world.url}/api/v1/clients`, {
    method: 'POST',
    duplex: 'half',
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
    body: ReadableStream.from([Buffer.from(padded(mebibyte)), Buffer.from(' ')]),
  } as RequestInit)
  expect(chunked.status).toBe(413)
})

test.for([
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc'],
  ['a line of nonsense', 'nonsense\r\n\r\n'],
  ['an invented method', requestText('INVENT /livez')],
  ['another protocol', 'GET /livez HTTP/2.5\r\nHost: a\r\n\r\n'],
  [
    'two lengths',
    'POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  ],
  [
    'a length and chunks',
    requestText(
      'POST /livez',
      { 'content-length': '3', 'transfer-encoding': 'chunked' },
      '0\r\n\r\n',
    ),
  ],
  ['a length that is none', requestText('POST /api/v1/clients', { 'content-length': 'x' }, 'ab')],
  ['a folded header', 'GET /livez HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n'],
  ['no host', 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n'],
] as const)('%s on the socket is answered with a problem', async ([, bytes]) => {
  const reply = await exchange(world.url, bytes)
  expect(reply.status).toBe(400)
  problemIn(reply, 'invalid_request')
})

test('CONNECT is answered with a problem, though nothing here is a proxy', async () => {
  const reply = await exchange(world.url, 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n')
  expect(reply.status).toBe(400)
  problemIn(reply, 'invalid_request')
})

test('what is done is answered as done, and garbage behind it as garbage', async () => {
  const body = '{"name":"Ada","currency":"EUR"}'
  const bytes =
    'POST /api/v1/clients HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
    `Authorization: Bearer ${world.api.key}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const { status, text } = await exchange(world.url, `${bytes}garbage\r\n\r\n`)
  expect(status).toBe(201)
  expect(text).toMatch(/^\{"id":"cli_.*\}HTTP\/1\.1 400 Bad Request/s)
})

test.for([
  ['Authorization', 'Bearer other', 401],
  ['Content-Type', 'text/plain', 415],
] as const)('%s that is given twice says nothing', async ([name, other, status]) => {
  const body = '{"name":"Ada","currency":"EUR"}'
  const bytes =
    'POST /api/v1/clients HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
    `Authorization: Bearer ${world.api.key}\r\nConnection: close\r\n${name}: ${other}\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  expect((await exchange(world.url, bytes)).status).toBe(status)
})

test('a body that says it is coded is refused, since we would read the code', async () => {
  const client = { name: 'Ada', currency: 'EUR' }
  for (const coding of ['gzip', 'br', 'identity, gzip', 'nonsense']) {
    const headers = { 'content-encoding': coding }
    const reply = await world.api.post('/api/v1/clients', client, headers)
    expect(reply.status).toBe(415)
    refusedWith(reply, 'unsupported_media_type')
  }
  const plain = { 'content-encoding': 'identity' }
  expect((await world.api.post('/api/v1/clients', client, plain)).status).toBe(201)
})

test('headers longer than we read are a 431, and so is one header alone', async () => {
  for (const headers of [{ 'x-long': 'a'.repeat(20_000) }, manyHeaders(400)]) {
    const reply = await ask('GET /livez', headers)
    expect(reply.status).toBe(431)
    problemIn(reply, 'headers_too_large')
  }
})

const manyHeaders = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, 'a'.repeat(50)]))

test('a URL longer than we read is a 414, however much longer', async () => {
  for (const length of [8_200, 20_000, 200_000]) {
    const reply = await ask(`GET /livez?${'a'.repeat(length)}`)
    expect(reply.status, `${length}`).toBe(414)
    problemIn(reply, 'uri_too_long')
  }
})

test('a URL that cannot be decoded and a parameter that is far too long are a 400', async () => {
  const headers = { authorization: `Bearer ${world.api.key}`, 'x-correlation-id': 'mine' }
  for (const step of ['%zz', '%ff', '%c3%28', 'a'.repeat(5_000)]) {
    const reply = await ask(`GET /api/v1/clients/${step}`, headers)
    expect(reply.status).toBe(400)
    problemIn(reply, 'invalid_request')
    expect(reply.headers['x-correlation-id']).toBe('mine')
    expect(reply.headers['x-request-id']).toMatch(/^req_/)
  }
})

test('an expectation that we do not know is no reason to refuse', async () => {
  expect((await ask('GET /livez', { expect: 'the-unexpected' })).status).toBe(200)
})

test('a slow sender is given up on, and an idle connection is let go', () => {
  const { server } = createServer(world.ctx, [])
  expect(server).toMatchObject({
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    keepAliveTimeout: 72_000,
  })
})
