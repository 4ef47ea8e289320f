import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import { register } from 'prom-client'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { operatorTenantId } from '#ids.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aSource, eventsOf, receiptsOf, secret } from './fixture.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
})
afterAll(() => world.stop())

const another = 'whsec_bmV3IHNlY3JldCBmb3IgdGhlIHdlYiBzaG9w'

test('a webhook is kept byte for byte, acknowledged, and becomes one event of the tenant', async () => {
  const source = await aSource(world, api)
  const body = '{ "type":"order.paid",\n "data": {"n":1.0, "é":"\\u00e9"}}'
  const reply = await source.send({ id: 'msg_one', body })
  expect([reply.status, reply.body]).toEqual([200, ''])
  expect(reply.headers.get('set-cookie')).toBeNull()

  const [receipt, ...more] = await receiptsOf(world, source.id)
  expect(more).toEqual([])
  expect(receipt?.body?.toString()).toBe(body)
  await world.drain()
  const events = await eventsOf(api, source.id)
  expect(events).toHaveLength(1)
  expect(events[0].data).toMatchObject({
    ...{ id: receipt?.id, sourceId: source.id, scheme: 'STANDARD_WEBHOOKS', status: 'FORWARDED' },
    ...{ providerEventId: 'msg_one', eventType: 'order.paid', isDeduplicated: true },
    ...{ isDrift: false, bodyBytes: Buffer.byteLength(body), forwardCount: 1, ip: '127.0.0.1' },
  })
})

test('a second copy is answered like the first and changes nothing, however often it comes at once', async () => {
  const source = await aSource(world, api)
  const copies = Array.from({ length: 20 }, () => source.send({ id: 'msg_again' }))
  const statuses = (await Promise.all(copies)).map(({ status }) => status)
  expect(new Set(statuses)).toEqual(new Set([200]))
  await world.drain()
  expect(await receiptsOf(world, source.id)).toHaveLength(1)
  expect(await eventsOf(api, source.id)).toHaveLength(1)
})

test('the same id of another source is another webhook', async () => {
  const [one, two] = [await aSource(world, api), await aSource(world, api)]
  for (const source of [one, two]) expect((await source.send({ id: 'msg_same' })).status).toBe(200)
  expect(await receiptsOf(world, one.id)).toHaveLength(1)
  expect(await receiptsOf(world, two.id)).toHaveLength(1)
})

test('a forged copy that comes first does not keep the real one out', async () => {
  const source = await aSource(world, api)
  const forged = await source.send({ id: 'msg_real', signedWith: another })
  refusedWith(forged, 'webhook_refused')
  expect(forged.status).toBe(401)
  expect(await receiptsOf(world, source.id)).toEqual([])
  expect((await source.send({ id: 'msg_real' })).status).toBe(200)
  expect(await receiptsOf(world, source.id)).toHaveLength(1)
})

test('what is changed on its way, signed long ago, or not signed, is refused and not kept', async () => {
  const source = await aSource(world, api)
  const now = world.ctx.clock.now().getTime()
  const body = '{"type":"a"}'
  for (const sent of [
    { body: '{"type":"b"}', signs: body },
    { body: '{"type": "a"}', signs: body },
    { at: new Date(now - 330_000) },
    { at: new Date(now + 330_000) },
    { headers: { 'webhook-signature': '' } },
    { signedWith: another },
  ]) {
    refusedWith(await source.send(sent), 'webhook_refused')
  }
  expect(await receiptsOf(world, source.id)).toEqual([])
  expect(await world.query('select from inbound_dedupe where source_id = $1', [source.id])).toEqual(
    [],
  )
})

test('both secrets are good while the sender changes them, and the old one no longer afterwards', async () => {
  const source = await aSource(world, api)
  await api.patch(source.path, { secrets: [another, secret] })
  expect((await source.send({ signedWith: secret })).status).toBe(200)
  expect((await source.send({ signedWith: another })).status).toBe(200)
  await api.patch(source.path, { secrets: [another] })
  refusedWith(await source.send({ signedWith: secret }), 'webhook_refused')
})

test('a body that is longer than its source takes is refused whole, one that is as long is taken', async () => {
  const source = await aSource(world, api, { maxBodyBytes: 100 })
  const bodyOf = (bytes: number) => `{"a":"${'x'.repeat(bytes - 8)}"}`
  expect((await source.send({ body: bodyOf(100) })).status).toBe(200)
  refusedWith(await source.send({ body: bodyOf(101) }), 'payload_too_large')
  const roomy = await aSource(world, api, { maxBodyBytes: 5 * 1024 * 1024 })
  expect((await roomy.send({ body: bodyOf(5 * 1024 * 1024) })).status).toBe(200)
  refusedWith(await roomy.send({ body: bodyOf(5 * 1024 * 1024 + 1) }), 'payload_too_large')
  expect(await receiptsOf(world, source.id)).toHaveLength(1)
  expect((await receiptsOf(world, roomy.id)).map(({ body }) => body?.length)).toEqual([5242880])
})

test('only addresses on the list of a source may send to it', async () => {
  const source = await aSource(world, api, { allowedIps: ['203.0.113.0/24'] })
  const reply = await source.send()
  refusedWith(reply, 'sender_not_allowed')
  expect(reply.status).toBe(403)
  await api.patch(source.path, { allowedIps: ['127.0.0.0/8'] })
  expect((await source.send()).status).toBe(200)
})

test('there is nothing at the address of a source that is disabled, removed or nobody’s', async () => {
  const source = await aSource(world, api)
  await api.patch(source.path, { status: 'DISABLED' })
  refusedWith(await source.send(), 'not_found')
  await api.patch(source.path, { status: 'ENABLED' })
  expect((await source.send()).status).toBe(200)
  await api.delete(source.path)
  refusedWith(await source.send(), 'not_found')
  for (const id of ['src_', `src_${'0'.repeat(26)}`, 'x', '%00', "'; drop table client"]) {
    const response = await fetch(`${world.url}/hooks/${id}`, { method: 'POST', body: '{}' })
    expect([id, response.status]).toEqual([id, 404])
  }
})

/** A source that a webhook came to, so that it is remembered. */
async function aKnownSource(more: object = {}) {
  const source = await aSource(world, api, more)
  expect((await source.send()).status).toBe(200)
  return source
}

test('each change of a source holds for the next webhook, also for what it takes already', async () => {
  const source = await aKnownSource()
  const change = async (patch: object) => {
    expect((await api.patch(source.path, patch)).status).toBe(200)
  }
  await change({ secrets: [another] })
  refusedWith(await source.send(), 'webhook_refused')
  expect((await source.send({ signedWith: another })).status).toBe(200)
  await change({ allowedIps: ['192.0.2.1'] })
  refusedWith(await source.send({ signedWith: another }), 'sender_not_allowed')
  await change({ allowedIps: [], maxBodyBytes: 1_024 })
  const body = JSON.stringify({ type: 'a', note: 'x'.repeat(1_024) })
  refusedWith(await source.send({ signedWith: another, body }), 'payload_too_large')
  await change({ maxBodyBytes: 2_048 })
  expect((await source.send({ signedWith: another, body })).status).toBe(200)
  await change({ throttle: { perSecond: 1 } })
  const sent = await Promise.all([1, 2, 3].map(() => source.send({ signedWith: another })))
  expect(sent.map(({ status }) => status)).toContain(429)
  await change({ throttle: null, status: 'DISABLED' })
  refusedWith(await source.send({ signedWith: another }), 'not_found')
  await change({ status: 'ENABLED' })
  expect((await source.send({ signedWith: another })).status).toBe(200)
  expect((await api.delete(source.path)).status).toBe(204)
  refusedWith(await source.send({ signedWith: another }), 'not_found')
})

test('of webhooks that are kept together only those of a changed source are judged again', async () => {
  const [changed, same] = [await aKnownSource(), await aKnownSource()]
  expect((await api.patch(changed.path, { secrets: [another] })).status).toBe(200)
  const sent = [changed, same, changed, same, same, changed].map((source) => source.send())
  const statuses = (await Promise.all(sent)).map(({ status }) => status)
  expect(statuses).toEqual([401, 200, 401, 200, 200, 401])
  expect(await receiptsOf(world, changed.id)).toHaveLength(1)
  expect(await receiptsOf(world, same.id)).toHaveLength(4)
})

test('what comes together is kept together, and passed on together', async () => {
  const source = await aKnownSource()
  const transactions = async () => {
    const [row] = await world.query<{ count: number }>(
      'select count(distinct xmin::text)::int as count from inbound_receipt where source_id = $1',
      [source.id],
    )
    return row?.count
  }
  const sent = await Promise.all(Array.from({ length: 60 }, () => source.send()))
  expect(new Set(sent.map(({ status }) => status))).toEqual(new Set([200]))
  expect(await transactions()).toBeLessThan(50)
  await world.drain()
  expect(await eventsOf(api, source.id)).toHaveLength(61)
  expect(await transactions()).toBeLessThan(50)
})

test('who is let in as before does not have his source read again', async () => {
  const source = await aKnownSource()
  const reads: string[] = []
  const of = vi.spyOn(world.ctx.db.readers, 'of').mockImplementation((tenantId) => {
    reads.push(tenantId)
    throw new Error('read')
  })
  try {
    expect((await source.send()).status).toBe(200)
    expect(reads).toEqual([])
  } finally {
    of.mockRestore()
  }
})

test('what is no challenge is refused by GET, and nothing is kept', async () => {
  const source = await aSource(world, api)
  const response = await fetch(`${source.url}?validationToken=x`)
  expect(response.status).toBe(400)
  expect(await receiptsOf(world, source.id)).toEqual([])
})

test('a payload that is not what the scheme promises is kept, acknowledged, and not passed on', async () => {
  const source = await aSource(world, api)
  expect((await source.send({ body: '<xml/>' })).status).toBe(200)
  await world.drain()
  const [receipt] = await receiptsOf(world, source.id)
  expect(receipt).toMatchObject({ status: 'QUARANTINED', forward_count: 0 })
  expect(receipt?.body?.toString()).toBe('<xml/>')
  expect(await eventsOf(api, source.id)).toEqual([])
  const told = await api.get('/api/v1/events?eventType=inbound.quarantined')
  expect(told.body.data[0].data).toMatchObject({ id: receipt?.id, isDrift: true })
})

test('of a webhook that could not be kept whole nothing is kept, and the next copy is the first', async () => {
  const source = await aSource(world, api)
  const refusal = `constraint no_job check (task <> 'FORWARD_RECEIPT') not valid`
  await world.query(`alter table job add ${refusal}`)
  const failed = await source.send({ id: 'msg_retried' })
  await world.query('alter table job drop constraint no_job')
  expect(failed.status).toBe(500)
  expect(await receiptsOf(world, source.id)).toEqual([])
  expect((await source.send({ id: 'msg_retried' })).status).toBe(200)
  await world.drain()
  expect(await eventsOf(api, source.id)).toHaveLength(1)
})

/** A sender with a scheme of its own: what is signed, and an id only where the test gives one. */
async function aPlainSource(settings: object, more: object = {}) {
  const key = 'a plain secret'
  const source = await aSource(world, api, { scheme: 'HMAC', secrets: [key], settings, ...more })
  return {
    ...source,
    async sendPlain(body: string | Buffer, headers: Record<string, string> = {}) {
      const mac = createHmac('sha256', key).update(body).digest('hex')
      const signed = { 'x-webhook-signature': mac, ...headers }
      const response = await fetch(source.url, {
        method: 'POST',
        headers: signed,
        body: body as string,
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, body: text && JSON.parse(text) }
    },
  }
}

test('without id and signed moment equal bodies are two webhooks, or refused where the source says so', async () => {
  const lenient = await aPlainSource({}, { acceptsUndedupable: true })
  expect((await lenient.sendPlain('{}')).status).toBe(200)
  expect((await lenient.sendPlain('{}')).status).toBe(200)
  expect(await receiptsOf(world, lenient.id)).toMatchObject([
    { is_deduplicated: false },
    { is_deduplicated: false },
  ])
  const strict = await aPlainSource({ eventIdHeader: 'X-Id' }, { acceptsUndedupable: false })
  refusedWith(await strict.sendPlain('{}'), 'invalid_request')
  expect((await strict.sendPlain('{}', { 'x-id': '7' })).status).toBe(200)
  expect((await strict.sendPlain('{}', { 'x-id': '7' })).status).toBe(200)
  expect(await receiptsOf(world, strict.id)).toHaveLength(1)
})

test('a signed moment with an equal body is a second copy, at another moment it is another webhook', async () => {
  const key = 'a plain secret'
  const settings = { signedContent: '{timestamp}.{body}', timestampHeader: 'X-Time' }
  const source = await aSource(world, api, { scheme: 'HMAC', secrets: [key], settings })
  const now = Math.floor(world.ctx.clock.now().getTime() / 1_000)
  for (const at of [now, now, now - 1]) {
    const mac = createHmac('sha256', key).update(`${at}.{}`).digest('hex')
    const headers = { 'x-webhook-signature': mac, 'x-time': String(at) }
    const response = await fetch(source.url, { method: 'POST', headers, body: '{}' })
    expect(response.status).toBe(200)
  }
  expect(await receiptsOf(world, source.id)).toHaveLength(2)
})

test('headers are kept without whatever the sender authenticates with', async () => {
  const source = await aPlainSource({}, { acceptsUndedupable: true })
  await source.sendPlain('{}', {
    authorization: 'Bearer not-for-the-row',
    cookie: 'session=not-for-the-row',
    'x-copy': 'prefix a plain secret',
    'x-shop': 'Berlin',
  })
  const [receipt] = await receiptsOf(world, source.id)
  expect(receipt?.headers).toMatchObject({ 'x-shop': 'Berlin' })
  expect(JSON.stringify(receipt?.headers)).not.toMatch(/not-for-the-row|a plain secret/)
})

test('any media type or none, and no body at all, are taken as they come', async () => {
  const source = await aPlainSource({}, { acceptsUndedupable: true })
  for (const [headers, body] of [
    [{ 'content-type': 'application/x-www-form-urlencoded' }, 'a=1&b=%00'],
    [{}, '\u0000\u0001'],
    [{ 'content-type': 'application/octet-stream' }, ''],
  ] as const) {
    expect((await source.sendPlain(Buffer.from(body), headers)).status).toBe(200)
  }
  const bodies = (await receiptsOf(world, source.id)).map(({ body }) => body?.toString())
  expect(bodies).toEqual(['a=1&b=%00', '\u0000\u0001', ''])
})

test('operators cannot keep, in the log of calls, what is sent to a tenant', async () => {
  await world.query(
    `insert into request_log_policy (tenant_id, keep_bodies, retention_days, updated_at)
     values ($1, 'ALL', 30, now())`,
    [operatorTenantId],
  )
  const source = await aSource(world, api)
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  await source.send({ body: '{"type":"for-the-tenant-alone"}' })
  const rowsOfHooks = () =>
    world.query<{ request_body: string | null }>(
      `select request_body from request_log where operation_id = 'submitWebhook'`,
    )
  await expect.poll(rowsOfHooks, { timeout: 5_000 }).not.toEqual([])
  for (const { request_body } of await rowsOfHooks()) expect(request_body).toBeNull()
})

test('what became of what was sent is counted', async () => {
  const source = await aSource(world, api)
  const read = async (outcome: string) => {
    const text = await register.getSingleMetricAsString('ubos_inbound_webhooks_total')
    const line = text
      .split('\n')
      .find((one) => one.includes(`outcome="${outcome}"`) && one.includes('STANDARD'))
    return Number(line?.split(' ').at(-1) ?? 0)
  }
  const outcomes = ['accepted', 'duplicate', 'refused_signature', 'quarantined']
  const before = await Promise.all(outcomes.map(read))
  await source.send({ id: 'msg_counted' })
  await source.send({ id: 'msg_counted' })
  await source.send({ signedWith: another })
  await source.send({ body: 'no JSON' })
  const after = await Promise.all(outcomes.map(read))
  expect(after.map((value, at) => value - (before[at] ?? 0))).toEqual([1, 1, 1, 1])
})

test('a body that breaks off half way leaves nothing', async () => {
  const source = await aSource(world, api)
  const { host, hostname, port, pathname } = new URL(source.url)
  const socket = connect(Number(port), hostname)
  socket.write(`POST ${pathname} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 100\r\n\r\n{"half":`)
  await new Promise((resolve) => setTimeout(resolve, 50))
  socket.destroy()
  expect((await source.send()).status).toBe(200)
  expect(await receiptsOf(world, source.id)).toHaveLength(1)
})
