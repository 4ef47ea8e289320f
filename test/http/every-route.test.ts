import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Route, routes } from '#generated/routes.ts'
import { startWorld, type World } from '../world.ts'

/*
 * Bad input of every kind, sent to every operation: the answer is a refusal that the operation
 * declares, and never our fault.
 */

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

/** Those whose form others prescribe refuse nothing that is bad to us only: see test/inbound. */
const all: Route[] = Object.values(routes).filter(({ isRaw }) => !isRaw)
const isForOperators = ({ scopes }: Route) => scopes?.some((scope) => /^org|^ope/.test(scope))
const isOpen = ({ scopes }: Route) => scopes === null

/** The path with well-formed ids of nobody. */
function pathOf(route: Route): string {
  return route.url.replaceAll(/:(\w+)/g, (_, name: string) => {
    if (name === 'eventType') return 'custom.nothing.happened'
    return `${prefixes[name] ?? name.slice(0, 3)}_${'0'.repeat(26)}`
  })
}
const prefixes: Record<string, string> = {
  apiKeyId: 'key',
  eventId: 'evt',
  eventConsumerId: 'evc',
  inboundReceiptId: 'rcp',
  inboundSourceId: 'src',
  jobScheduleId: 'sch',
  serviceAccountId: 'sva',
  tenantId: 'ten',
  webhookDeliveryId: 'whd',
  webhookEndpointId: 'whe',
}

interface Sent {
  path?: string
  headers?: Record<string, string>
  body?: string | Buffer
}

async function send(route: Route, { path = pathOf(route), headers = {}, body }: Sent) {
  const { key } = isForOperators(route) ? world.operator : world.api
  const response = await fetch(world.url + path, {
    method: route.method,
    headers: { ...(isOpen(route) ? {} : { authorization: `Bearer ${key}` }), ...headers },
    ...(body === undefined || route.method === 'GET' ? {} : { body }),
  })
  const text = await response.text()
  const type = response.headers.get('content-type') ?? ''
  return { status: response.status, body: type.includes('json') ? JSON.parse(text) : text }
}

/** Sends the same kind of thing to every route; answers the codes, after checking each refusal. */
async function refusals(which: Route[], sent: (route: Route) => Sent): Promise<Set<string>> {
  const codes = new Set<string>()
  for (const route of which) {
    const { status, body } = await send(route, sent(route))
    const what = `${route.operationId} ${status} ${JSON.stringify(body)}`
    expect(status, what).toBeGreaterThanOrEqual(400)
    expect(status, what).toBeLessThan(500)
    expect(route.statuses, what).toContain(status)
    expect(body.type, what).toBe(`/problems/${body.code}`)
    codes.add(body.code)
  }
  return codes
}

const json = { 'content-type': 'application/json' }
const keyed = { 'idempotency-key': 'k' }
const withParameters = all.filter(({ url }) => url.includes(':'))
const withBodies = all.filter(({ body }) => body !== null)
const writes = all.filter(({ kind }) => kind === 'write')

test('no key, no answer, but from the operations that are open', async () => {
  for (const route of all) {
    const response = await fetch(world.url + pathOf(route), { method: route.method })
    await response.arrayBuffer()
    expect(response.status === 401, route.operationId).toBe(!isOpen(route))
  }
})

test('an unknown query parameter is refused by every operation', async () => {
  const codes = await refusals(all, (route) => ({
    path: `${pathOf(route)}?surprise=1`,
    ...(route.body ? { body: '{}', headers: { ...json, ...keyed } } : { headers: keyed }),
  }))
  expect(codes).toEqual(new Set(['unknown_parameter']))
})

test('a form that no operation answers in is refused by every one', async () => {
  const codes = await refusals(all, () => ({ headers: { accept: 'image/png' } }))
  expect(codes).toEqual(new Set(['not_acceptable']))
})

test.for([
  ['of another type', 'text/plain', 'unsupported_media_type'],
  ['of a type that is none', 'nonsense', 'unsupported_media_type'],
] as const)('a body %s is refused by every operation that takes one', async ([, type, code]) => {
  const sent = { headers: { 'content-type': type, ...keyed }, body: '{}' }
  expect(await refusals(withBodies, () => sent)).toEqual(new Set([code]))
})

test('a body that is too large is refused by every operation that writes', async () => {
  const sent = { headers: { ...json, ...keyed }, body: Buffer.alloc(1024 * 1024 + 1, 0x20) }
  expect(await refusals(withBodies, () => sent)).toEqual(new Set(['payload_too_large']))
  const without = writes.filter(({ body }) => body === null)
  expect(await refusals(without, () => sent)).toEqual(new Set(['invalid_request']))
})

test.for([
  ['cut off', '{', 'malformed_json'],
  ['a list', '[]', 'invalid_request'],
  ['null', 'null', 'invalid_request'],
  ['a text', '"text"', 'invalid_request'],
  ['an unknown field', '{"surprise":1}', 'invalid_request'],
  ['a NUL in a name', '{"\\u0000":1}', 'invalid_request'],
] as const)(
  'a body that is %s is refused by every operation that takes one',
  async ([, body, code]) => {
    const sent = { headers: { ...json, ...keyed }, body }
    expect(await refusals(withBodies, () => sent)).toEqual(new Set([code]))
  },
)

test('an id that is none is refused by every operation that takes one', async () => {
  for (const step of ['1', '%00', 'a'.repeat(3_000), '..%2f..', '%F0%9F%A6%8A']) {
    const path = (route: Route) => route.url.replaceAll(/:\w+/g, step)
    const codes = await refusals(withParameters, (route) => ({
      path: path(route),
      headers: { ...(route.body ? json : {}), ...keyed },
      ...(route.body ? { body: '{}' } : {}),
    }))
    expect(codes, step).toEqual(new Set(['invalid_request']))
  }
})

test.for(['if-match', 'idempotency-key', 'x-correlation-id'])(
  'a %s that is none is refused by every operation that reads it',
  async (name) => {
    const which = all.filter(({ parameters }) => parameters.some(({ key }) => key === name))
    expect(which.length).toBeGreaterThan(2)
    const codes = await refusals(which, (route) => ({
      headers: { ...(route.body ? json : {}), ...keyed, [name]: 'no good' },
      ...(route.body ? { body: '{}' } : {}),
    }))
    expect(codes).toEqual(new Set(['invalid_request']))
  },
)

test('nothing of all this was done', async () => {
  const [row] = await world.query(
    `select (select count(*)::int from idempotency) as replies,
      (select count(*)::int from audit where actor_type <> 'SYSTEM') as audits`,
  )
  expect(row).toEqual({ replies: 0, audits: 0 })
})
