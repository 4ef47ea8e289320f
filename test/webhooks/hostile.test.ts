import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../jobs/until.ts'
import type { Behaviour } from '../receiver.ts'
import { startWorld, type World } from '../world.ts'
import {
  anEndpoint,
  aReceiver,
  attempted,
  attemptsAt,
  createClients,
  deliveryTo,
} from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const keptBytesMax = 16 * 1024

/** What each misbehaviour is called, and the status that came with it. */
const expected: Partial<Record<Behaviour, [outcome: string, status: number | null]>> = {
  hang: ['TIMED_OUT', null],
  'slow-headers': ['TIMED_OUT', null],
  'slow-drip': ['TIMED_OUT', null],
  continue: ['PROTOCOL_ERROR', null],
  'endless-body': ['DELIVERED', 200],
  'endless-chunk-extension': ['PROTOCOL_ERROR', null],
  'endless-early-hints': ['PROTOCOL_ERROR', null],
  'endless-headers': ['PROTOCOL_ERROR', null],
  'huge-headers': ['PROTOCOL_ERROR', null],
  'two-lengths': ['PROTOCOL_ERROR', null],
  garbage: ['PROTOCOL_ERROR', null],
  reset: ['CONNECTION_FAILED', null],
  'reset-mid-answer': ['CONNECTION_FAILED', null],
  'close-without-answer': ['CONNECTION_FAILED', null],
  'close-mid-answer': ['CONNECTION_FAILED', null],
}

test('every misbehaviour has its name, costs one attempt, and keeps nobody else from being told', {
  timeout: 40_000,
}, async () => {
  const api = await world.newTenant()
  const hostile = await Promise.all(
    Object.entries(expected).map(async ([behaviour, [outcome, status]]) => {
      const receiver = await aReceiver()
      receiver.behaves(behaviour as Behaviour)
      return { behaviour, outcome, status, receiver, ...(await anEndpoint(api, receiver.url)) }
    }),
  )
  const healthy = await aReceiver()
  const endpoint = await anEndpoint(api, healthy.url)
  await createClients(api)
  await until(async () => (await deliveryTo(api, endpoint)).status === 'DELIVERED', 3_000)

  const ended = hostile.map(async ({ id, behaviour, outcome, status, receiver }) => {
    await attempted(world, { id }, 1, 25_000)
    receiver.answers(204)
    const delivery = await deliveryTo(api, { id })
    const [attempt, ...others] = await attemptsAt(api, delivery)
    expect({ behaviour, ...attempt }).toMatchObject({ behaviour, outcome, responseStatus: status })
    expect(others).toEqual([])
    expect(receiver.requests.length, behaviour).toBe(1)
    expect(delivery.status).toBe(outcome === 'DELIVERED' ? 'DELIVERED' : 'PENDING')
    expect(Buffer.byteLength(attempt?.responseBody ?? '')).toBeLessThanOrEqual(keptBytesMax)
    expect(attempt?.error === null).toBe(outcome === 'DELIVERED')
    // A timer may fire a moment before its time by the other clock.
    if (outcome === 'TIMED_OUT') expect(attempt?.durationMs).toBeGreaterThanOrEqual(14_990)
    else expect(attempt?.durationMs).toBeLessThan(5_000)
  })
  await Promise.all(ended)
  world.step(6_001)
  for (const { id, outcome } of hostile) {
    await attempted(world, { id }, outcome === 'DELIVERED' ? 1 : 2)
    expect((await deliveryTo(api, { id })).status).toBe('DELIVERED')
  }
})

test('a redirect is not followed, wherever it leads', async () => {
  const api = await world.newTenant()
  const [lure, target] = [await aReceiver(), await aReceiver()]
  lure.answersWith((_, count) => ({
    status: [301, 302, 303, 307, 308][count - 1] ?? 204,
    headers: { location: target.url },
  }))
  const endpoint = await anEndpoint(api, lure.url)
  await createClients(api, 5)
  await world.drain()
  expect(target.requests).toEqual([])
  await lure.received(5)
  world.step(6_001)
  await lure.received(10)
  await world.drain()
  const [row] = await world.query<{ outcomes: string[] }>(
    `select array_agg(distinct outcome) as outcomes from attempt join webhook_delivery as delivery
      on delivery.id = delivery_id where endpoint_id = $1 and number = 1`,
    [endpoint.id],
  )
  expect(row?.outcomes).toEqual(['REDIRECTED'])
  expect(target.requests).toEqual([])
})

test('of a long refusal the first 16 KiB are kept', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(500, {}, 'no '.repeat(100_000))
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  await attempted(world, endpoint)
  const [attempt] = await attemptsAt(api, await deliveryTo(api, endpoint))
  expect(attempt).toMatchObject({ outcome: 'REFUSED', responseStatus: 500 })
  expect(attempt?.responseBody).toBe('no '.repeat(100_000).slice(0, keptBytesMax))
})

test('an answer that is no text is kept all the same', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(200, {}, Buffer.from([0, 0xff, 0xfe, 0x41, 0]))
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  await world.drain()
  const [attempt] = await attemptsAt(api, await deliveryTo(api, endpoint))
  expect(attempt).toMatchObject({ outcome: 'DELIVERED', responseBody: '\0\ufffd\ufffdA\0' })
})

test('nobody listening, a name that does not exist, and no TLS are told apart', async () => {
  const api = await world.newTenant()
  const closed = await aReceiver()
  await closed.stop()
  const plain = await aReceiver()
  const urls = {
    CONNECTION_FAILED: closed.url,
    NAME_UNRESOLVED: 'https://nobody.invalid/hook',
    TLS_FAILED: plain.url.replace('http:', 'https:'),
  }
  const endpoints = Object.entries(urls).map(async ([outcome, url]) => {
    const endpoint = await anEndpoint(api, url)
    return { outcome, endpoint }
  })
  const told = await Promise.all(endpoints)
  await createClients(api)
  for (const { outcome, endpoint } of told) {
    await attempted(world, endpoint)
    const delivery = await deliveryTo(api, endpoint)
    const [attempt] = await attemptsAt(api, delivery)
    expect(attempt).toMatchObject({ outcome, responseStatus: null })
    expect(delivery.nextAttemptAt).not.toBeNull()
  }
})
