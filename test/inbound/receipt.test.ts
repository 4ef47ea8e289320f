import { afterAll, beforeAll, expect, test } from 'vitest'
import { sweepOldRows } from '#retention/sweep.task.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aSource, eventsOf, receiptsOf, receive } from './fixture.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
})
afterAll(() => world.stop())

const path = '/api/v1/inbound-receipts'
const dayMs = 24 * 60 * 60 * 1_000

async function listed(query: string): Promise<string[]> {
  const { status, body } = await api.get(`${path}?limit=200${query}`)
  expect(status).toBe(200)
  return body.data.map(({ id }: { id: string }) => id)
}

test('a receipt shows what it consisted of, byte for byte, and that is audited', async () => {
  const source = await aSource(world, api)
  const binary = Buffer.from([0x7b, 0xff, 0x00, 0x7d])
  await source.send({ id: 'msg_text', body: '{"a":"é"}', headers: { 'x-shop': 'Berlin' } })
  await source.send({ id: 'msg_binary', body: binary })
  const [text, bytes] = await receiptsOf(world, source.id)
  const shown = await api.get(`${path}/${text?.id}`)
  expect(shown.body).toMatchObject({
    ...{ id: text?.id, providerEventId: 'msg_text', body: '{"a":"é"}' },
    bodyBase64: Buffer.from('{"a":"é"}').toString('base64'),
    headers: { 'x-shop': 'Berlin', 'webhook-id': 'msg_text' },
  })
  const other = await api.get(`${path}/${bytes?.id}`)
  expect(other.body).toMatchObject({ body: null, bodyBase64: binary.toString('base64') })
  await expect
    .poll(async () => {
      const rows = await world.query(
        `select action from audit where action = 'inbound_receipt.read' and resource_id = $1`,
        [text?.id],
      )
      return rows.length
    })
    .toBe(1)
})

test('a secret that its sender puts into the body is not shown, however it is written there', async () => {
  const secret = 'our "state" é'
  const source = await aSource(world, api, { scheme: 'MICROSOFT_GRAPH', secrets: [secret, 'old'] })
  const one = (state: string) =>
    `{"value":[{"id":"${state.length}","changeType":"created","clientState":${state}}],"x":"a\\"b é"}`
  const plain = JSON.stringify(secret)
  const escaped = [...secret].map((sign) => {
    return `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  for (const state of [plain, `"${escaped.join('')}"`, '"old"']) {
    const reply = await fetch(source.url, { method: 'POST', body: one(state) })
    expect(reply.status).toBe(202)
    const receipt = (await receiptsOf(world, source.id)).at(-1)
    const { body } = await api.get(`${path}/${receipt?.id}`)
    const bytes = Buffer.byteLength(state) - 2
    const expected = one(`"${'*'.repeat(bytes)}"`).replace(/"id":"\d+"/, `"id":"${state.length}"`)
    expect(body.body).toBe(expected)
    expect(Buffer.from(body.bodyBase64, 'base64').toString()).toBe(expected)
    expect(receipt?.body?.toString()).toBe(one(state))
    expect(body.bodyBytes).toBe(Buffer.byteLength(expected))
  }
})

test('receipts are listed by source, status and time, without what they consisted of', async () => {
  const [shop, other] = [await aSource(world, api), await aSource(world, api)]
  await shop.send()
  await shop.send({ body: 'no JSON' })
  await other.send()
  await world.drain()
  const [first, second] = (await receiptsOf(world, shop.id)).map(({ id }) => id)
  expect(await listed(`&sourceId=${shop.id}`)).toEqual([second, first])
  expect(await listed(`&sourceId=${shop.id}&sort=receivedAt`)).toEqual([first, second])
  expect(await listed(`&sourceId=${shop.id}&status=QUARANTINED`)).toEqual([second])
  expect(await listed(`&sourceId=${shop.id}&status=FORWARDED`)).toEqual([first])

  await shop.send({ id: 'msg_of_a_kind', body: '{"type":"order.sent"}' })
  const [sent] = (await receiptsOf(world, shop.id)).slice(-1).map(({ id }) => id)
  expect(await listed('&providerEventId=msg_of_a_kind')).toEqual([sent])
  expect(await listed('&eventType=order.sent')).toEqual([sent])
  expect(await listed(`&sourceId=${other.id}&eventType=order.sent`)).toEqual([])
  expect(await listed('&eventType=order.se')).toEqual([])

  world.step(60_000)
  const later = world.ctx.clock.now().toISOString()
  await shop.send()
  const third = (await receiptsOf(world, shop.id)).at(-1)?.id
  expect(await listed(`&sourceId=${shop.id}&receivedAfter=${later}`)).toEqual([third])
  const before = await listed(`&sourceId=${shop.id}&receivedBefore=${later}`)
  expect(before).toEqual([sent, second, first])
  const { body } = await api.get(`${path}?sourceId=${shop.id}`)
  expect(Object.keys(body.data[0])).not.toContain('body')
  expect(Object.keys(body.data[0])).not.toContain('headers')
})

test('a receipt that is passed on once more makes one more event, of the same receipt', async () => {
  const id = await receive(world, api)
  await world.drain()
  const { body: before } = await api.get(`${path}/${id}`)
  const key = { 'idempotency-key': 'once-more' }
  for (const _ of [1, 2]) {
    const { status, body } = await api.post(`${path}/${id}/reprocessings`, undefined, key)
    expect([status, body.status]).toEqual([202, 'RECEIVED'])
  }
  await world.drain()
  const events = await eventsOf(api, before.sourceId)
  expect(events.map(({ data }: { data: { id: string } }) => data.id)).toEqual([id, id])
  const { body: after } = await api.get(`${path}/${id}`)
  expect(after).toMatchObject({ status: 'FORWARDED', forwardCount: 2, body: before.body })
})

test('a job that runs a second time, as after a crash, makes no second event', async () => {
  const id = await receive(world, api)
  await world.drain()
  const [job] = await world.query<{ id: string }>(
    `update job set status = 'FAILED' where payload ->> 'receiptId' = $1 returning id`,
    [id],
  )
  expect((await api.post(`/api/v1/jobs/${job?.id}/retries`)).status).toBe(202)
  await world.drain()
  expect((await api.get(`${path}/${id}`)).body.forwardCount).toBe(1)
  const [ran] = await world.query('select status from job where id = $1', [job?.id])
  expect(ran).toEqual({ status: 'SUCCEEDED' })
})

test('a receipt that is on its way is not sent on it a second time', async () => {
  const apart = await startWorld({ parts: ['api'] })
  const id = await receive(apart, apart.api)
  refusedWith(await apart.api.post(`${path}/${id}/reprocessings`), 'invalid_state')
  expect(await apart.query('select from job')).toHaveLength(1)
  await apart.stop()
})

test('what is in quarantine is let out one by one or all at once, and by no other way', async () => {
  const [shop, other] = [await aSource(world, api), await aSource(world, api)]
  for (const _ of Array.from({ length: 3 })) await shop.send({ body: 'no JSON' })
  await other.send({ body: 'no JSON' })
  await shop.send()
  await world.drain()
  const [one] = await receiptsOf(world, shop.id)
  await api.post(`${path}/${one?.id}/reprocessings`)
  await world.drain()
  expect(await eventsOf(api, shop.id)).toHaveLength(2)

  const selection = { status: 'QUARANTINED', sourceId: shop.id }
  const asked = await api.post('/api/v1/inbound-reprocessings', selection)
  expect(asked.status).toBe(202)
  await world.drain()
  const { body: job } = await api.get(asked.headers.get('location') ?? '')
  expect(job).toMatchObject({ status: 'SUCCEEDED', result: { reprocessed: 2 } })
  expect(await eventsOf(api, shop.id)).toHaveLength(4)
  expect(await eventsOf(api, other.id)).toEqual([])
  const states = (await receiptsOf(world, shop.id)).map(({ status }) => status)
  expect(new Set(states)).toEqual(new Set(['FORWARDED']))
})

test('of what a source sent one kind is passed on once more', async () => {
  const source = await aSource(world, api)
  for (const type of ['order.paid', 'order.sent', 'order.paid']) {
    await source.send({ body: JSON.stringify({ type }) })
  }
  await world.drain()
  const selection = { status: 'FORWARDED', sourceId: source.id, eventType: 'order.paid' }
  const asked = await api.post('/api/v1/inbound-reprocessings', selection)
  await world.drain()
  expect((await api.get(asked.headers.get('location') ?? '')).body.result.reprocessed).toBe(2)
  const counts = (await receiptsOf(world, source.id)).map(({ forward_count }) => forward_count)
  expect(counts).toEqual([2, 1, 2])
})

test('of many receipts each is passed on once, also beyond a batch, and a second run adds none', async () => {
  const source = await aSource(world, api)
  for (const _ of Array.from({ length: 12 })) {
    await Promise.all(Array.from({ length: 10 }, () => source.send()))
  }
  await world.drain()
  const selection = { status: 'FORWARDED', sourceId: source.id }
  const asked = await api.post('/api/v1/inbound-reprocessings', selection)
  await world.drain()
  const counts = async () =>
    new Set((await receiptsOf(world, source.id)).map(({ forward_count }) => forward_count))
  expect((await api.get(asked.headers.get('location') ?? '')).body.result.reprocessed).toBe(120)
  expect(await counts()).toEqual(new Set([2]))

  // As after a crash: the job has run, and nobody wrote it down.
  await world.query(`update job set status = 'FAILED' where id = $1`, [asked.body.id])
  expect((await api.post(`/api/v1/jobs/${asked.body.id}/retries`)).status).toBe(202)
  await world.drain()
  expect(await counts()).toEqual(new Set([2]))
})

test('after 30 days the payload goes, and a second copy is still known; after 90 it is forgotten', async () => {
  const apart = await startWorld({ parts: ['api'] })
  const source = await aSource(apart, apart.api)
  await source.send({ id: 'msg_old' })
  const [receipt] = await receiptsOf(apart, source.id)
  await sweepOldRows(apart.ctx)
  expect((await receiptsOf(apart, source.id))[0]?.body).not.toBeNull()

  apart.step(31 * dayMs)
  await sweepOldRows(apart.ctx)
  const { body } = await apart.api.get(`${path}/${receipt?.id}`)
  expect(body).toMatchObject({ headers: null, body: null, bodyBase64: null })
  expect(body.bodyBytes).toBeGreaterThan(0)
  refusedWith(await apart.api.post(`${path}/${receipt?.id}/reprocessings`), 'invalid_state')
  expect((await source.send({ id: 'msg_old' })).status).toBe(200)
  expect(await receiptsOf(apart, source.id)).toHaveLength(1)

  apart.step(60 * dayMs)
  await sweepOldRows(apart.ctx)
  expect((await source.send({ id: 'msg_old' })).status).toBe(200)
  expect(await receiptsOf(apart, source.id)).toHaveLength(2)
  await apart.stop()
})

test('under a legal hold the payload stays', async () => {
  const apart = await startWorld({ parts: ['api'] })
  const source = await aSource(apart, apart.api)
  await source.send()
  await apart.query(
    `insert into legal_hold select tenant_id, 'A claim', now(), 2 from inbound_receipt`,
  )
  apart.step(31 * dayMs)
  await sweepOldRows(apart.ctx)
  expect((await receiptsOf(apart, source.id))[0]?.body).not.toBeNull()
  await apart.query('delete from legal_hold')
  await sweepOldRows(apart.ctx)
  expect((await receiptsOf(apart, source.id))[0]?.body).toBeNull()
  await apart.stop()
})
