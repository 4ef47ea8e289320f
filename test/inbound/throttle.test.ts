import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSecond } from '../api-keys/second-process.ts'
import { stoppedClock } from '../http/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aSource, receiptsOf, secret } from './fixture.ts'

/*
 * Each test sends to API processes of its own whose clock stands still, so that what may come in a
 * second is not a matter of how fast the machine is.
 */

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
})
afterAll(() => world.stop())

const another = 'whsec_bmV3IHNlY3JldCBmb3IgdGhlIHdlYiBzaG9w'

/** Two processes with one clock, and a source that both of them serve. */
async function twoDoors(more: object = {}) {
  const { clock, step } = stoppedClock()
  const source = await aSource(world, api, { throttle: { perSecond: 20 }, ...more })
  const doors = [
    await startSecond(world, (ctx) => ({ ...ctx, clock })),
    await startSecond(world, (ctx) => ({ ...ctx, clock })),
  ] as const
  const [one, other] = doors.map(({ url }) => `${url}/hooks/${source.id}`)
  return {
    ...{ source, step, clock, one: one ?? '', other: other ?? '' },
    stop: () => Promise.all(doors.map((door) => door.stop())),
  }
}

let count = 0

async function post(url: string, at: Date, signedWith = secret) {
  count += 1
  const [id, timestamp] = [`msg_${count}`, String(Math.floor(at.getTime() / 1_000))]
  const body = '{"type":"order.paid"}'
  const key = Buffer.from(signedWith.slice('whsec_'.length), 'base64')
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  const response = await fetch(url, {
    ...{ method: 'POST', body },
    headers: {
      ...{ 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${mac}` },
    },
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

async function statuses(howMany: number, send: (at: number) => Promise<{ status: number }>) {
  const replies = await Promise.all(Array.from({ length: howMany }, (_, at) => send(at)))
  const told = new Map<number, number>()
  for (const { status } of replies) told.set(status, (told.get(status) ?? 0) + 1)
  return Object.fromEntries(told)
}

test('what is beyond is not kept and told when to come back, and is taken then', async () => {
  const { source, one, clock, step, stop } = await twoDoors({ throttle: { perSecond: 5 } })
  expect(await statuses(8, () => post(one, clock.now()))).toEqual({ 200: 5, 429: 3 })
  const { status, headers, text } = await post(one, clock.now())
  expect([status, headers.get('retry-after')]).toEqual([429, '1'])
  expect(JSON.parse(text)).toMatchObject({
    code: 'quota_exceeded',
    'violated-policies': ['inbound'],
  })
  expect(await receiptsOf(world, source.id)).toHaveLength(5)
  step(1_000)
  expect(await statuses(8, () => post(one, clock.now()))).toEqual({ 200: 5, 429: 3 })
  expect(await receiptsOf(world, source.id)).toHaveLength(10)
  await stop()
})

test('it is one throttle over all processes, give or take a tenth for each', async () => {
  const { source, one, other, clock, stop } = await twoDoors({ throttle: { perSecond: 40 } })
  const doors = [one, other]
  const told = await statuses(120, (at) => post(doors[at % 2] ?? '', clock.now()))
  expect(told[200]).toBeGreaterThanOrEqual(40)
  expect(told[200]).toBeLessThanOrEqual(48)
  expect((told[200] ?? 0) + (told[429] ?? 0)).toBe(120)
  expect(await receiptsOf(world, source.id)).toHaveLength(told[200] ?? 0)
  for (const url of doors) expect((await post(url, clock.now())).status).toBe(429)
  await stop()
})

test('a flood of forged webhooks leaves the real sender all that it may send', async () => {
  const { source, one, other, clock, stop } = await twoDoors()
  const doors = [one, other]
  const forged = await statuses(200, (at) => post(doors[at % 2] ?? '', clock.now(), another))
  expect(forged).toEqual({ 401: 200 })
  expect(await statuses(20, () => post(one, clock.now()))).toEqual({ 200: 20 })
  expect((await post(one, clock.now())).status).toBe(429)
  expect((await post(one, clock.now(), another)).status).toBe(401)
  expect(await receiptsOf(world, source.id)).toHaveLength(20)
  await stop()
})

test('handshakes are throttled too, and who asks for them keeps nobody else from sending', async () => {
  const { source, one, stop } = await twoDoors({
    ...{ scheme: 'MICROSOFT_GRAPH', secrets: ['our state'], throttle: { perSecond: 4 } },
  })
  const echo = () => fetch(`${one}?validationToken=abc`, { method: 'POST' })
  expect(await statuses(6, echo)).toEqual({ 200: 4, 429: 2 })
  const body = JSON.stringify({ value: [{ clientState: 'our state', changeType: 'updated' }] })
  expect(await statuses(6, () => fetch(one, { method: 'POST', body }))).toEqual({ 202: 4, 429: 2 })
  expect(await receiptsOf(world, source.id)).toHaveLength(4)
  await stop()
})

test('Xero, which wants nothing in an answer, is told by status and header alone', async () => {
  const { one, stop } = await twoDoors({
    ...{ scheme: 'XERO', secrets: ['a key'], throttle: { perSecond: 1 } },
  })
  const send = async (entropy: string) => {
    const body = `{"events":[{"eventCategory":"INVOICE","eventType":"${entropy}"}]}`
    const mac = createHmac('sha256', 'a key').update(body).digest('base64')
    return await fetch(one, { method: 'POST', body, headers: { 'x-xero-signature': mac } })
  }
  expect((await send('CREATE')).status).toBe(200)
  const reply = await send('UPDATE')
  expect([reply.status, reply.headers.get('retry-after')]).toEqual([429, '1'])
  expect([await reply.text(), reply.headers.get('content-type')]).toEqual(['', null])
  await stop()
})

test('a throttle is shown, changed and taken away; one that is none is refused and named', async () => {
  const { source, one, clock, stop } = await twoDoors({ throttle: { perSecond: 1 } })
  const { throttle } = (await api.get(source.path)).body
  expect(throttle).toEqual({ perSecond: 1 })
  expect(await statuses(3, () => post(one, clock.now()))).toEqual({ 200: 1, 429: 2 })
  expect((await api.patch(source.path, { throttle: { perSecond: 9 } })).body).toMatchObject({
    throttle: { perSecond: 9 },
    revision: 2,
  })
  const lifted = await api.patch(source.path, { throttle: null })
  expect(lifted.body).toMatchObject({ throttle: null, revision: 3 })
  expect(await statuses(60, () => post(one, clock.now()))).toEqual({ 200: 60 })
  for (const perSecond of [0, -1, 1.5, 10_001, '5', null]) {
    const reply = await api.patch(source.path, { throttle: { perSecond } })
    expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toMatch(/^\/throttle/)
  }
  const reply = await api.patch(source.path, { throttle: {} })
  refusedWith(reply, 'invalid_request')
  await stop()
})

test('without a throttle a source sends as much as it can', async () => {
  const source = await aSource(world, api)
  expect((await api.get(source.path)).body.throttle).toBeNull()
  expect(await statuses(200, () => source.send())).toEqual({ 200: 200 })
})
