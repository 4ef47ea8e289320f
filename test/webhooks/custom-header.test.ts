import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headersToSend, isForbidden, patchHeaders } from '#webhooks/custom-header.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aReceiver, createClients } from './fixture.ts'
import { isAccepted } from './verdict.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const path = '/api/v1/webhook-endpoints'
const token = 'Bearer dG9wLXNlY3JldC10b2tlbg'

/** A tenant of its own with an endpoint that is sent these headers. */
async function aGuarded(headers?: object) {
  api = await world.newTenant()
  const receiver = await aReceiver()
  const reply = await api.post(path, { url: receiver.url, headers })
  expect(reply.status, JSON.stringify(reply.body)).toBe(201)
  return {
    endpoint: reply.body,
    at: `${path}/${reply.body.id}`,
    async nextSent() {
      await createClients(api)
      await world.drain()
      const request = receiver.requests.at(-1)
      if (request === undefined) throw new Error('nothing was sent')
      return request
    },
  }
}

const namesOf = (body: { customHeaders: { name: string }[] }) =>
  body.customHeaders.map(({ name }) => name)

test('a webhook carries the headers of its endpoint beside ours, and verifies as ever', async () => {
  const own = { Authorization: token, 'X-Env': "it's ~ a test" }
  const { endpoint, nextSent } = await aGuarded(own)
  const request = await nextSent()
  expect(request.headers).toMatchObject({
    ...{ authorization: token, 'x-env': "it's ~ a test" },
    ...{ 'content-type': 'application/json', 'user-agent': 'UBOS-Webhooks/1' },
  })
  expect(isAccepted(request, endpoint.secret)).toBe(true)
})

test('the value of a header is nowhere to be read: not in an answer, a table or an event', async () => {
  const { endpoint, at } = await aGuarded({ Authorization: token })
  await api.patch('/api/v1/request-log-policy', { keepBodies: 'ALL' })
  const patched = await api.patch(at, { headers: { 'X-Second': `${token}2` } })
  expect(namesOf(patched.body)).toEqual(['authorization', 'x-second'])
  const read = await api.get(at)
  const listed = await api.get(path)
  for (const shown of [endpoint, patched.body, read.body, listed.body]) {
    expect(JSON.stringify(shown)).not.toContain(token.slice('Bearer '.length))
  }
  await createClients(api)
  await world.drain()
  const tables = await world.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace
      and relkind in ('r', 'p') and not relispartition`,
  )
  for (const { name } of tables) {
    const [row] = await world.query<{ found: string }>(
      `select count(*) as found from "${name}" as t
        where to_jsonb(t)::text like $1
        or to_jsonb(t)::text like '%' || encode(convert_to($2, 'utf8'), 'hex') || '%'`,
      [`%${token.slice(7)}%`, token.slice(7)],
    )
    expect(row?.found, name).toBe('0')
  }
})

test('the audit and the event tell which headers changed and when', async () => {
  const { at } = await aGuarded({ Authorization: token })
  await api.patch(at, { headers: { 'x-env': 'test' } })
  const entries = await api.get('/api/v1/audit-entries?action=webhook_endpoint.updated')
  expect(namesOf(entries.body.data[0].before)).toEqual(['authorization'])
  expect(namesOf(entries.body.data[0].after)).toEqual(['authorization', 'x-env'])
  const events = await api.get('/api/v1/events?eventType=webhook_endpoint.updated')
  expect(events.body.data[0]).toMatchObject({ changedFields: ['customHeaders'] })
})

test('a patch sets, changes and removes single headers, whatever the case of their names', async () => {
  const { at, nextSent } = await aGuarded({ 'X-One': '1', 'X-Two': '2' })
  const patched = await api.patch(at, { headers: { 'x-ONE': null, 'x-two': 'b', 'x-three': '3' } })
  expect(namesOf(patched.body)).toEqual(['x-three', 'x-two'])
  const { headers } = await nextSent()
  expect(headers).toMatchObject({ 'x-two': 'b', 'x-three': '3' })
  expect(headers).not.toHaveProperty('x-one')

  const cleared = await api.patch(at, { headers: null })
  expect(cleared.body.customHeaders).toEqual([])
  expect((await nextSent()).headers).not.toHaveProperty('x-two')
})

test('a value that is as it was is no change, and one that differs is', async () => {
  const { at, endpoint } = await aGuarded({ Authorization: token })
  world.step(1_000)
  const same = await api.patch(at, { headers: { authorization: token } })
  expect(same.body).toMatchObject({ revision: 1, customHeaders: endpoint.customHeaders })
  const other = await api.patch(at, { headers: { authorization: 'Basic YTpi' } })
  expect(other.body.revision).toBe(2)
  expect(other.body.customHeaders[0].updatedAt).toBe(other.body.updatedAt)
})

test('a new value is a change also when the clock stands still or goes back', () => {
  const keeper = {
    seal: (_: string, value: string) => value,
    open: ({ sealed }: { sealed: string }) => sealed,
  }
  const now = new Date('2026-02-04T10:00:00.000Z')
  const first = patchHeaders([], { a: '1', b: '1' }, keeper, now)
  const second = patchHeaders(first, { a: '2', b: '1' }, keeper, now)
  const third = patchHeaders(second, { a: '3' }, keeper, new Date(0))
  const times = [first, second, third].map((headers) => headers.map(({ updatedAt }) => updatedAt))
  expect(times).toEqual([
    ['2026-02-04T10:00:00.000Z', '2026-02-04T10:00:00.000Z'],
    ['2026-02-04T10:00:00.001Z', '2026-02-04T10:00:00.000Z'],
    ['2026-02-04T10:00:00.002Z', '2026-02-04T10:00:00.000Z'],
  ])
})

test('a change of something else, and a rotation, leave the headers alone', async () => {
  const { at, nextSent } = await aGuarded({ Authorization: token })
  await api.patch(at, { description: 'Other' })
  await api.post(`${at}/secret-rotations`)
  await api.post(`${at}/secret-revocation`)
  expect((await nextSent()).headers.authorization).toBe(token)
})

const refusedNames = [
  ...['Host', 'connection', 'Cookie', 'User-Agent', 'keep-alive', 'proxy-authenticate'],
  ...['Proxy-Authorization', 'te', 'trailer', 'Transfer-Encoding', 'upgrade', 'age'],
  ...['cache-control', 'clear-site-data', 'expires', 'pragma', 'warning', 'Content-Length'],
  ...['content-type', 'Content-Encoding', 'content-language', 'content-location', 'expect'],
  ...['x-amz-date', 'x-amzn-trace-id', 'x-google-x', 'X-Goog-Iam', 'x-gfe-y', 'x-azure-fdid'],
  ...['x-fd-healthprobe', 'x-svix-id', 'svix-id', 'Webhook-Id', 'webhook-signature'],
  ...['X-UBOS-Signature', 'x-correlation-id', 'Traceparent', 'tracestate', 'accept-encoding'],
]

test.for(refusedNames)('%s is no header of the tenant: refused, and named', async (name) => {
  api ??= await world.newTenant()
  const url = 'http://127.0.0.1:4999/hook'
  const reply = await api.post(path, { url, headers: { 'x-fine': 'a', [name]: 'a' } })
  expect(refusedWith(reply, 'invalid_request').errors).toEqual([
    { pointer: `/headers/${name}`, code: 'forbidden', message: 'is a header that you may not set' },
  ])
})

test('a forbidden header that is in the table all the same is not sent', () => {
  const headers = ['host', 'webhook-id', 'x-fine'].map((name) => ({
    ...{ name, sealed: name, updatedAt: '2026-02-04T10:00:00.000Z' },
  }))
  expect(headersToSend(headers, ({ sealed }) => sealed)).toEqual({ 'x-fine': 'x-fine' })
})

test('what would change the request is refused with the name of its field', async () => {
  const { at } = await aGuarded()
  for (const value of [
    'a\r\nHost: b',
    'a\nb',
    '',
    ' a',
    'a ',
    '\u0000',
    'ü',
    7,
    ['a'],
    'a'.repeat(1_025),
  ]) {
    const { errors } = refusedWith(
      await api.patch(at, { headers: { 'x-a': value } }),
      'invalid_request',
    )
    expect(errors[0].pointer).toBe('/headers/x-a')
  }
  for (const name of ['', 'a b', 'a:b', 'a\r\nb', 'ü', 'a'.repeat(65)]) {
    const { errors } = refusedWith(
      await api.patch(at, { headers: { [name]: 'a' } }),
      'invalid_request',
    )
    expect(errors[0].pointer).toMatch(/^\/headers/)
  }
  const twice = refusedWith(
    await api.patch(at, { headers: { 'x-a': '1', 'X-A': '2' } }),
    'invalid_request',
  )
  expect(twice.errors[0]).toMatchObject({ pointer: '/headers/X-A', code: 'repeated' })
})

test('names that JavaScript knows are sent as they are and change nothing', async () => {
  const headers = JSON.parse('{"__proto__": "a", "constructor": "b", "a~b": "c"}')
  const { nextSent } = await aGuarded(headers)
  const { headers: sent } = await nextSent()
  expect(Object.entries(sent)).toEqual(
    expect.arrayContaining([
      ['constructor', 'b'],
      ['a~b', 'c'],
    ]),
  )
})

test('an endpoint has at most ten headers, also after a patch', async () => {
  const ten = Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`x-${at}`, 'a']))
  const { at } = await aGuarded(ten)
  const { errors } = refusedWith(
    await api.patch(at, { headers: { 'x-10': 'a' } }),
    'invalid_request',
  )
  expect(errors[0]).toMatchObject({ pointer: '/headers', code: 'too_many' })
  const swapped = await api.patch(at, { headers: { 'x-9': null, 'x-10': 'a' } })
  expect(swapped.body.customHeaders).toHaveLength(10)
})

test('whatever the case, a forbidden name is forbidden', () => {
  fc.assert(
    fc.property(fc.constantFrom(...refusedNames), fc.nat(), (name, bits) => {
      const cased = [...name].map((one, at) =>
        (bits >> at) & 1 ? one.toUpperCase() : one.toLowerCase(),
      )
      return isForbidden(cased.join(''))
    }),
  )
})
