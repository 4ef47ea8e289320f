import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../jobs/until.ts'
import { refusedWith, startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, attemptsAt, createClients, deliveryTo } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const [second, minute, hour] = [1_000, 60_000, 3_600_000]

async function aDelivery(status: number, headers = {}) {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(status, headers)
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  const delivery = () => deliveryTo(api, endpoint)
  const attempted = (count: number) => until(async () => (await delivery()).attemptCount === count)
  await attempted(1)
  /** The worker has looked for work since: a test event, made now, has gone out. */
  async function sawWork(): Promise<void> {
    const count = receiver.requests.length + 1
    await api.post(`${endpoint.path}/test-events`)
    await receiver.received(count)
  }
  const ofDelivery = async () => {
    const { eventId } = await delivery()
    return receiver.requests.filter(({ headers: { 'webhook-id': id } }) => id === eventId)
  }
  return { api, receiver, endpoint, delivery, attempted, sawWork, ofDelivery }
}

test('a delivery answered with 500 is made again some 5 s later, under the same id', async () => {
  const { api, receiver, delivery, attempted, ofDelivery, endpoint } = await aDelivery(500)
  const failed = await delivery()
  expect(failed).toMatchObject({ status: 'PENDING', lastResponseStatus: 500, deliveredAt: null })
  const { lastAttemptAt, nextAttemptAt } = failed
  const waitMs = Date.parse(nextAttemptAt ?? '') - Date.parse(lastAttemptAt ?? '')
  expect(waitMs).toBeGreaterThanOrEqual(3_999)
  expect(waitMs).toBeLessThanOrEqual(6_001)

  receiver.answers(200)
  world.step(6 * second + 1)
  await attempted(2)
  expect(await delivery()).toMatchObject({ status: 'DELIVERED', lastResponseStatus: 200 })
  const attempts = await attemptsAt(api, failed)
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([
    [1, 'REFUSED'],
    [2, 'DELIVERED'],
  ])
  const [first, again] = await ofDelivery()
  receiver.verified(endpoint.secret)
  expect(again?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
  expect(again?.body.equals(first?.body ?? Buffer.alloc(0))).toBe(true)
  const sentAt = [first, again].map((request) => Number(request?.headers['webhook-timestamp']))
  expect((sentAt[1] ?? 0) - (sentAt[0] ?? 0)).toBeGreaterThanOrEqual(5)
})

test('a receiver that asks for an hour is left in peace for an hour, whatever else there is for it', async () => {
  const { api, endpoint, receiver, delivery, attempted } = await aDelivery(429, {
    'retry-after': '3600',
  })
  const neighbour = await aReceiver()
  const beside = await anEndpoint(api, neighbour.url)
  const { lastAttemptAt, nextAttemptAt } = await delivery()
  expect(Date.parse(nextAttemptAt ?? '') - Date.parse(lastAttemptAt ?? '')).toBe(hour)
  receiver.answers(200)
  world.step(59 * minute)
  for (const { path } of [endpoint, beside]) await api.post(`${path}/test-events`)
  await neighbour.received(1)
  expect(receiver.requests).toHaveLength(1)
  world.step(2 * minute)
  await attempted(2)
  expect(await delivery()).toMatchObject({ status: 'DELIVERED', attemptCount: 2 })
})

test('a delivery that always fails is tried ten times and then left alone, until sent again', async () => {
  const { api, receiver, delivery, attempted, sawWork, ofDelivery } = await aDelivery(503)
  const delaysMs = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
  for (const [at, seconds] of delaysMs.entries()) {
    expect((await delivery()).status).toBe('PENDING')
    world.step(seconds * second * 1.2 + 1)
    await attempted(at + 2)
  }
  const exhausted = await delivery()
  expect(exhausted).toMatchObject({ status: 'EXHAUSTED', attemptCount: 10, nextAttemptAt: null })
  world.step(29 * hour)
  await sawWork()
  expect(await ofDelivery()).toHaveLength(10)

  const numbers = async (query: string) =>
    (await attemptsAt(api, exhausted, query)).map(({ number }) => number)
  expect(await numbers('')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  expect(await numbers('?sort=-number&limit=3')).toEqual([10, 9, 8])
  const path = `/api/v1/webhook-deliveries/${exhausted.id}`
  const page = (await api.get(`${path}/attempts?sort=-number&limit=3`)).body
  expect(await numbers(`?sort=-number&limit=3&cursor=${page.nextCursor}`)).toEqual([7, 6, 5])

  const reply = await api.post(`${path}/redeliveries`)
  expect(reply).toMatchObject({ status: 202, body: { id: exhausted.id, status: 'PENDING' } })
  await attempted(11)
  const again = await delivery()
  const waitMs = Date.parse(again.nextAttemptAt ?? '') - Date.parse(again.lastAttemptAt ?? '')
  expect(waitMs).toBeLessThanOrEqual(6_001)
  refusedWith(await api.post(`${path}/redeliveries`), 'delivery_in_progress')
  receiver.answers(200)
  world.step(7 * second)
  await attempted(12)
  expect((await delivery()).status).toBe('DELIVERED')
  expect(await numbers('?sort=-number&limit=2')).toEqual([12, 11])
})
