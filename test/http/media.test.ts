import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

const client = { name: 'Ada', currency: 'EUR' }
const clients = '/api/v1/clients'

test.for([
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/problem+json',
  'application/merge-patch+json',
  'application/json; charset=utf-16',
  'json',
  'application/json, text/plain',
  '',
])('a body under the type %j is refused and goes nowhere', async (type) => {
  const reply = await api.post(clients, client, { 'content-type': type })
  expect(reply.status).toBe(415)
  expect(refusedWith(reply, 'unsupported_media_type').detail).toContain('application/json')
  expect((await api.get(clients)).body.data).toEqual([])
})

test('a body without a type is refused, also when it comes in chunks', async () => {
  const bytes = Buffer.from(JSON.stringify(client))
  for (const body of [bytes, ReadableStream.from([bytes])]) {
    const response = await fetch(world.url + clients, {
      method: 'POST',
      duplex: 'half',
      headers: { authorization: `Bearer ${api.key}` },
      body,
    } as RequestInit)
    expect(response.status).toBe(415)
  }
  expect((await api.get(clients)).body.data).toEqual([])
})

test('the type may be written in capitals and with its character set; a patch has two types', async () => {
  const type = 'Application/JSON; charset="UTF-8"'
  const made = await api.post(clients, client, { 'content-type': type })
  expect(made.status).toBe(201)
  const path = `${clients}/${made.body.id}`
  for (const [at, patchType] of ['application/json', 'application/merge-patch+json'].entries()) {
    const headers = { 'content-type': patchType }
    expect((await api.patch(path, { phone: String(at) }, headers)).body.phone).toBe(String(at))
  }
  expect((await api.delete(path)).status).toBe(204)
})

test.for(['text/html', 'application/xml, text/*', 'application/json;q=0', 'image/*;q=0.5'])(
  'who accepts only %j is told that there is nothing of the kind',
  async (accept) => {
    for (const reply of [
      await api.get(clients, { accept }),
      await api.post(clients, {}, { accept }),
    ]) {
      expect(reply.status).toBe(406)
      refusedWith(reply, 'not_acceptable')
    }
  },
)

test.for(['*/*', 'application/*', 'text/html, application/json;q=0.1', 'APPLICATION/JSON', ''])(
  'who accepts %j is answered',
  async (accept) => {
    const reply = await api.get(clients, { accept })
    expect(reply.status).toBe(200)
    expect(reply.headers.get('content-type')).toBe('application/json; charset=utf-8')
  },
)

test('an unknown name in the query is refused, and says which are known', async () => {
  const reply = await api.get(`${clients}?limit=5&Limit=6&page=2`)
  expect(reply.status).toBe(400)
  const { errors } = refusedWith(reply, 'unknown_parameter')
  expect(errors.map((error: { parameter: string }) => error.parameter)).toEqual(['Limit', 'page'])
  expect(errors[0].message).toContain('externalId')
  refusedWith(await api.post(`${clients}?dryRun=true`, client), 'unknown_parameter')
  refusedWith(await world.callsWith('').get('/livez?verbose'), 'unknown_parameter')
  expect((await api.get(clients)).body.data).toEqual([])
})

test.for([
  'limit=0',
  'limit=201',
  'limit=1e1',
  'limit=%2010',
  'limit=010',
  'limit=ten',
  'limit=',
  'limit=5&limit=5',
  'sort=name',
  'email=not-an-address',
  'externalId=%00',
  'externalId=%ff',
  'cursor=a%20b',
])('?%s is refused with the name of the parameter', async (query) => {
  const reply = await api.get(`${clients}?${query}`)
  expect(reply.status).toBe(400)
  const [error] = refusedWith(reply, 'invalid_request').errors
  expect(error.parameter).toBe(query.split('=')[0])
})

test('an id of another kind, or of no kind, is refused before anything is looked up', async () => {
  for (const id of [
    '1',
    `pro_${'0'.repeat(26)}`,
    `cli_${'0'.repeat(25)}`,
    `CLI_${'0'.repeat(26)}`,
  ]) {
    const { errors } = refusedWith(await api.get(`${clients}/${id}`), 'invalid_request')
    expect(errors[0].parameter).toBe('clientId')
  }
})

test('the caller names the call, and only we name the request', async () => {
  const mine = { 'x-request-id': 'req_mine', 'x-correlation-id': 'order-4711' }
  for (const calls of [api, world.callsWith('wrong')]) {
    for (const path of [clients, '/api/v1/nowhere', `${clients}?no=1`, `${clients}/1`]) {
      const { headers, body } = await calls.get(path, mine)
      expect(headers.get('x-correlation-id'), path).toBe('order-4711')
      expect(headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/)
      expect(body.requestId ?? headers.get('x-request-id')).toBe(headers.get('x-request-id'))
    }
  }
  const unnamed = await api.get(clients)
  expect(unnamed.headers.get('x-correlation-id')).toBe(unnamed.headers.get('x-request-id'))
  const bad = await api.get(clients, { 'x-correlation-id': 'a b' })
  expect(refusedWith(bad, 'invalid_request').errors[0].header).toBe('x-correlation-id')
  expect(bad.headers.get('x-correlation-id')).toBe(bad.headers.get('x-request-id'))
})

test('the caller’s name for the call is in its event and its audit entry', async () => {
  const made = await api.post(clients, client, { 'x-correlation-id': 'order-4712' })
  const rows = await world.query(
    `select 'event' as kind from event where correlation_id = $1
     union all select 'audit' from audit where correlation_id = $1 and resource_id = $2`,
    ['order-4712', made.body.id],
  )
  expect(rows.map(({ kind }) => kind).sort()).toEqual(['audit', 'event'])
})

test('answers may be shown to any page, kept by no shared cache, and taken for nothing else', async () => {
  for (const reply of [
    await api.get(clients),
    await api.get('/api/v1/nowhere'),
    await api.get(`${clients}/%zz`),
  ]) {
    expect(reply.headers.get('cache-control')).toBe('private, no-cache')
    expect(reply.headers.get('x-content-type-options')).toBe('nosniff')
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    const exposed = reply.headers.get('access-control-expose-headers')
    for (const name of ['etag', 'link', 'location', 'ratelimit', 'retry-after', 'x-request-id']) {
      expect(exposed).toContain(name)
    }
    expect(reply.headers.get('set-cookie')).toBeNull()
  }
})
