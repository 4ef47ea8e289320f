import { afterAll, beforeAll, expect, test } from 'vitest'
import { runSequencer } from '#events/sequencer.ts'
import type { Loop } from '#jobs/loop.ts'
import { reactions } from '#reactions.ts'
import { pack } from '#webhooks/batch.ts'
import { claimDeliveries, noLane } from '#webhooks/claim.sql.ts'
import { verifyWebhook, type WebhookEvent } from '../../packages/receiver/receiver.ts'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import type { ReceivedRequest } from '../receiver.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import {
  type AnEndpoint,
  anEndpoint,
  anotherWorker,
  aReceiver,
  attempted,
  attemptsAt,
  deliveriesOf,
} from './fixture.ts'

// A sequencer runs; no worker does unless a test starts one.
let world: World
let sequencer: Loop
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  sequencer = runSequencer(world.ctx, reactions(world.ctx), () => undefined)
})
afterAll(async () => {
  await sequencer.stop()
  await world.stop()
})

const isSequenced = () =>
  until(async () => (await world.query('select from event_pending limit 1')).length === 0)

/** A tenant with an endpoint that takes batches, and a client that was told of before. */
async function aBatchingEndpoint(options: object, eventTypes = ['client.created']) {
  const api = await world.newTenant()
  const [tenant, client, receiver] = [await tenantOf(api), await aClient(api), await aReceiver()]
  await isSequenced()
  const endpoint = await anEndpoint(api, receiver.url, eventTypes)
  const { status, body } = await api.patch(endpoint.path, options)
  if (status !== 200) throw new Error(JSON.stringify(body))
  const publish = async (count: number, data = client) => {
    const ids = await publishAtOnce(world, tenant, data, count)
    await isSequenced()
    return ids
  }
  return { api, tenant, client, receiver, endpoint, publish }
}

/** The ids of the events in a request, which must be an array of them. */
const eventsIn = ({ body }: ReceivedRequest): string[] =>
  JSON.parse(String(body)).map(({ id }: { id: string }) => id)
const idOf = ({ headers }: ReceivedRequest) => headers['webhook-id']

const inState = (endpoint: AnEndpoint, status: string, count: number) =>
  until(async () => {
    const [row] = await world.query<{ count: number }>(
      `select count(*)::int as count from webhook_delivery where endpoint_id = $1 and status = $2`,
      [endpoint.id, status],
    )
    return row?.count === count
  }, 40_000)

const expectBalance = async ({ id }: AnEndpoint) =>
  expect(
    await world.query(
      'select sum(abs(missing))::int as missing from webhook_balance where endpoint_id = $1',
      [id],
    ),
  ).toEqual([{ missing: 0 }])

const reasonsAt = async (api: Api, { id }: AnEndpoint) =>
  (await deliveriesOf(api, `&endpointId=${id}&isDelivered=false`)).map(
    ({ undelivered }) => undelivered?.reason,
  )

test('what is full goes at once, the rest when it has waited; byte for byte, in order, signed as one', async () => {
  const { api, receiver, endpoint, publish } = await aBatchingEndpoint({
    ...{ batching: { maxEvents: 5, maxWaitSeconds: 60 }, headers: { 'x-gate': 'open' } },
  })
  const ids = await publish(12)
  anotherWorker(world)
  await inState(endpoint, 'DELIVERED', 10)
  await until(async () => String(await reasonsAt(api, endpoint)) === 'BATCH,BATCH')
  world.step(61_000)
  await inState(endpoint, 'DELIVERED', 12)

  const requests = receiver.verified(endpoint.secret)
  expect(requests.map((request) => eventsIn(request).length)).toEqual([5, 5, 2])
  expect(requests.flatMap(eventsIn).toSorted()).toEqual(ids.toSorted())
  expect(new Set(requests.map(idOf)).size).toBe(3)
  for (const request of requests) {
    expect(idOf(request)).toMatch(/^whb_[0-9a-f]{32}$/)
    expect(request.headers['x-gate']).toBe('open')
    const stored = await world.query<{ body: Buffer }>(
      `select body from event join event_position using (tenant_id)
        where event_id = id and id = any($1) order by position`,
      [eventsIn(request)],
    )
    expect(String(request.body)).toBe(`[${stored.map(({ body }) => String(body)).join()}]`)
    const verified = await verifyWebhook<WebhookEvent[]>(request, { keys: [endpoint.secret] })
    expect(verified.event.map(({ id }) => id)).toEqual(eventsIn(request))
  }
  for (const delivery of await deliveriesOf(api, `&endpointId=${endpoint.id}`)) {
    expect(await attemptsAt(api, delivery)).toMatchObject([{ number: 1, outcome: 'DELIVERED' }])
  }
  await expectBalance(endpoint)
})

test('a batch that fails comes again as it was, under its id, by the schedule of all, and fails as a whole', async () => {
  const { api, receiver, endpoint, publish } = await aBatchingEndpoint({
    ...{ batching: { maxEvents: 3, maxWaitSeconds: 0 }, retryPolicy: { delaysSeconds: [10, 10] } },
  })
  receiver.answers(500)
  await publish(3)
  anotherWorker(world)
  await until(async () => (await reasonsAt(api, endpoint)).every((reason) => reason === 'RETRY'))
  const [first] = await publish(1)
  await until(() => receiver.requests.length === 2)
  world.step(13_000)
  await until(() => receiver.requests.length === 4)
  await until(async () => (await reasonsAt(api, endpoint)).every((reason) => reason === 'RETRY'))
  world.step(13_000)
  await inState(endpoint, 'EXHAUSTED', 4)
  const byId = Map.groupBy(receiver.requests, idOf)
  expect([...byId.values()].map((requests) => requests.length)).toEqual([3, 3])
  for (const requests of byId.values()) {
    expect(new Set(requests.map(({ body }) => String(body))).size).toBe(1)
  }
  expect([...byId.values()].map(([request]) => request && eventsIn(request).length)).toEqual([3, 1])
  for (const delivery of await deliveriesOf(api, `&endpointId=${endpoint.id}`)) {
    expect(delivery.attemptCount).toBe(3)
  }
  // What the endpoint heard leads back to the deliveries.
  for (const [batchId, [request]] of byId) {
    const heard = await deliveriesOf(api, `&webhookId=${batchId}`)
    expect(heard.map(({ eventId }) => eventId).sort()).toEqual(request && eventsIn(request).sort())
    for (const attempt of await attemptsAt(api, heard[0] ?? { id: '' })) {
      expect(attempt).toMatchObject({ webhookId: batchId, address: '127.0.0.1' })
      expect(attempt.error).toBe('The endpoint answered 500.')
    }
  }
  // What is told once more goes with a batch of its own.
  receiver.answers(204)
  const [delivery] = await deliveriesOf(api, `&endpointId=${endpoint.id}&eventId=${first}`)
  await api.post(`/api/v1/webhook-deliveries/${delivery?.id}/redeliveries`)
  await inState(endpoint, 'DELIVERED', 1)
  const last = receiver.requests.at(-1)
  expect(last && eventsIn(last)).toEqual([first])
  expect(byId.has(last && idOf(last))).toBe(false)
  await expectBalance(endpoint)
})

test('a batch whose worker hangs or dies comes again under its id, the same to the byte', async () => {
  const { api, receiver, endpoint, publish } = await aBatchingEndpoint({
    batching: { maxEvents: 10, maxWaitSeconds: 0 },
  })
  receiver.behaves('hang')
  await publish(7)
  anotherWorker(world)
  await receiver.received(1)
  receiver.answers(204)
  await publish(3)
  await inState(endpoint, 'DELIVERED', 3)
  await world.query(
    'update delivery_due set leased_until = clock_timestamp() where endpoint_id = $1',
    [endpoint.id],
  )
  await inState(endpoint, 'DELIVERED', 10)
  const [before, , again] = receiver.requests
  expect(again && idOf(again)).toBe(before && idOf(before))
  expect(again?.body.equals(before?.body ?? Buffer.alloc(0))).toBe(true)
  const [delivery] = await deliveriesOf(api, `&endpointId=${endpoint.id}&sort=createdAt`)
  expect((await attemptsAt(api, delivery ?? { id: '' })).map(({ outcome }) => outcome)).toEqual([
    'INTERRUPTED',
    'DELIVERED',
  ])
})

test('limits count batches, whatever workers there are, and each event comes once', async () => {
  const { receiver, endpoint, publish } = await aBatchingEndpoint({
    ...{ batching: { maxEvents: 10, maxWaitSeconds: 1 }, inFlightMax: 2 },
    rateLimit: { perSecond: 5 },
  })
  const ids = await publish(120)
  anotherWorker(world)
  anotherWorker(world)
  await inState(endpoint, 'DELIVERED', 120)
  const began = receiver.requests.map(({ at }) => at.getTime())
  for (const from of began) {
    expect(began.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(5)
  }
  expect(receiver.requests.flatMap(eventsIn).toSorted()).toEqual(ids.toSorted())
  expect(receiver.requests.length).toBeLessThanOrEqual(20)
  await expectBalance(endpoint)
})

test('as many batches are under way as may be, and no more', async () => {
  const { api, receiver, endpoint, publish } = await aBatchingEndpoint({
    ...{ batching: { maxEvents: 4, maxWaitSeconds: 0 }, inFlightMax: 3 },
  })
  receiver.behaves('hang')
  await publish(40)
  anotherWorker(world)
  anotherWorker(world)
  await receiver.received(3)
  await until(async () => {
    const reasons = Map.groupBy(await reasonsAt(api, endpoint), (reason) => reason)
    return reasons.get('SENDING')?.length === 12 && reasons.get('ENDPOINT_BUSY')?.length === 28
  })
  expect(receiver.requests).toHaveLength(3)
})

test('a batch is 256 KiB at most; what has no room goes with the next', async () => {
  const options = { batching: { maxEvents: 100, maxWaitSeconds: 0 } }
  const { api, receiver, endpoint } = await aBatchingEndpoint(options, ['client.deleted'])
  const schema = { type: 'object', properties: { text: { type: 'string' } } }
  const type = { type: 'custom.page.made', description: 'A page', schema, example: { text: 'a' } }
  const made = await api.post('/api/v1/event-types', type)
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  await api.patch(endpoint.path, { eventTypes: ['custom.*'], status: 'DISABLED' })
  const data = { text: 'x'.repeat(100 * 1024) }
  for (let count = 0; count < 5; count += 1) {
    const reply = await api.post('/api/v1/events', { type: 'custom.page.made', data })
    expect(reply.status).toBe(202)
  }
  await isSequenced()
  await api.patch(endpoint.path, { status: 'ENABLED' })
  anotherWorker(world)
  await inState(endpoint, 'DELIVERED', 5)
  const sizes = receiver.requests.map(({ body }) => body.length)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(256 * 1024)
  const counts = receiver.requests.map((request) => eventsIn(request).length)
  expect(counts.toSorted()).toEqual([1, 2, 2])
  expect(new Set(receiver.requests.flatMap(eventsIn)).size).toBe(5)
  await expectBalance(endpoint)
})

test('each event of a batch is transformed, and one that cannot be holds up no other', async () => {
  const { api, receiver, endpoint, client, publish } = await aBatchingEndpoint({
    ...{ batching: { maxEvents: 3, maxWaitSeconds: 60 }, retryPolicy: { delaysSeconds: [] } },
    transformation: 'data.name = "Bad" ? $error("bad") : {"named": data.name}',
  })
  await publish(1, { ...client, name: 'One' })
  await publish(1, { ...client, name: 'Bad' })
  await publish(1, { ...client, name: 'Two' })
  anotherWorker(world)
  await inState(endpoint, 'DELIVERED', 2)
  await inState(endpoint, 'EXHAUSTED', 1)
  const [request, ...more] = receiver.verified(endpoint.secret)
  expect(String(request?.body)).toBe('[{"named":"One"},{"named":"Two"}]')
  expect(more).toEqual([])
  const [failed] = await deliveriesOf(api, `&endpointId=${endpoint.id}&status=EXHAUSTED`)
  expect(await attemptsAt(api, failed ?? { id: '' })).toMatchObject([
    { outcome: 'TRANSFORMATION_FAILED' },
  ])
  await expectBalance(endpoint)
})

test('in order, a batch holds one event of a resource, and the next waits for the one before', async () => {
  const { api, receiver, endpoint, tenant } = await aBatchingEndpoint({
    ...{ batching: { maxEvents: 10, maxWaitSeconds: 0 }, ordering: 'RESOURCE' },
    retryPolicy: { delaysSeconds: Array(8).fill(1) },
  })
  const clients = [await aClient(api), await aClient(api), await aClient(api)]
  await isSequenced()
  const told = new Map<string, string[]>()
  for (let turn = 0; turn < 4; turn += 1) {
    for (const client of clients) {
      const [id = ''] = await publishAtOnce(world, tenant, client, 1)
      told.set(client.id, [...(told.get(client.id) ?? []), id])
    }
  }
  receiver.answersWith((_, count) => ({ status: count % 3 === 0 ? 500 : 204 }))
  anotherWorker(world)
  anotherWorker(world)
  await inState(endpoint, 'DELIVERED', 15)
  const accepted = receiver.requests.filter((_, at) => (at + 1) % 3 !== 0)
  for (const ids of told.values()) {
    const ofKey = accepted.map((request) => eventsIn(request).filter((id) => ids.includes(id)))
    for (const each of ofKey) expect(each.length).toBeLessThanOrEqual(1)
    expect(ofKey.flat()).toEqual(ids)
  }
  await expectBalance(endpoint)
}, 90_000)

test('who takes no batches any more gets what waits one by one, each under the id of its event', async () => {
  const { api, receiver, endpoint, publish } = await aBatchingEndpoint({
    batching: { maxEvents: 3, maxWaitSeconds: 60 },
  })
  receiver.answers(500)
  const ids = await publish(4)
  anotherWorker(world)
  await until(async () => {
    const reasons = (await reasonsAt(api, endpoint)).toSorted()
    return String(reasons) === 'BATCH,RETRY,RETRY,RETRY'
  })
  receiver.answers(204)
  expect((await api.patch(endpoint.path, { batching: null })).body.batching).toBe(null)
  world.step(7_000)
  await inState(endpoint, 'DELIVERED', 4)
  const [, ...single] = receiver.verified(endpoint.secret)
  expect(single.map(idOf).toSorted()).toEqual(ids.toSorted())
  for (const request of single) expect(JSON.parse(String(request.body)).id).toBe(idOf(request))
  await expectBalance(endpoint)
})

test('a batch is claimed as a whole, also where there is room for a part of it only', async () => {
  await world.query('delete from delivery_due')
  const { publish } = await aBatchingEndpoint({ batching: { maxEvents: 5, maxWaitSeconds: 0 } })
  await publish(5)
  const claim = (limit: number, token: string) =>
    claimDeliveries(world.ctx.db.worker, {
      ...{ token, limit, endpointInFlightMax: 50, tenantRoom: 100, tenantRooms: new Map() },
      ...{ leaseMs: 60_000, now: world.ctx.clock.now(), after: noLane },
    })
  const { claimed } = await claim(1, '1.test')
  expect(claimed).toHaveLength(5)
  const [first] = claimed
  expect(first?.batchId).toMatch(/^whb_/)
  for (const { batchId, webhookId } of claimed) {
    expect([batchId, webhookId]).toEqual([first?.batchId, first?.batchId])
  }
  // Of what was sent together none comes alone, while another is still under way.
  await world.query(
    `update delivery_due set lease_token = null, leased_until = null where delivery_id <> $1`,
    [first?.deliveryId],
  )
  expect((await claim(5, '2.test')).claimed).toEqual([])
})

test('batches that are none are refused, and it says where', async () => {
  const api = await world.newTenant()
  const { url } = await aReceiver()
  const endpoint = await anEndpoint(api, url)
  expect((await api.get(endpoint.path)).body.batching).toBe(null)
  for (const [batching, pointer] of [
    [{ maxEvents: 1, maxWaitSeconds: 1 }, '/batching/maxEvents'],
    [{ maxEvents: 101, maxWaitSeconds: 1 }, '/batching/maxEvents'],
    [{ maxEvents: 2, maxWaitSeconds: 61 }, '/batching/maxWaitSeconds'],
    [{ maxEvents: 2, maxWaitSeconds: -1 }, '/batching/maxWaitSeconds'],
    [{ maxEvents: 2 }, '/batching/maxWaitSeconds'],
  ] as const) {
    const refused = refusedWith(await api.patch(endpoint.path, { batching }), 'invalid_request')
    expect(refused.errors[0].pointer).toBe(pointer)
  }
  const batching = { maxEvents: 100, maxWaitSeconds: 0 }
  expect((await api.patch(endpoint.path, { batching })).body).toMatchObject({ batching })
})

test('what is packed is in order, and behind what has no room none goes', () => {
  const member = (position: number, bytes: number) => ({
    claimed: { position, deliveryId: String(position), batchId: 'whb_1' },
    body: Buffer.alloc(bytes, 'x'),
  })
  const kib = 1024
  const packed = pack([member(3, 8), member(1, 250 * kib), member(2, 10 * kib)])
  expect(packed.sent.map(({ position }) => position)).toEqual([1])
  expect(packed.left.map(({ position }) => position)).toEqual([2, 3])
  expect(pack([member(1, 300 * kib)]).sent).toHaveLength(1)
  expect(pack([member(2, 1), member(1, 2)]).body.toString()).toBe('[xx,x]')
  const full = pack([member(1, 128 * kib - 1), member(2, 128 * kib - 2)])
  expect([full.sent.length, full.body.length]).toEqual([2, 256 * kib])
  expect(pack([member(1, 128 * kib - 1), member(2, 128 * kib - 1)]).sent).toHaveLength(1)
})

test('a tenant whose endpoints have full batches together gets them all, whole, however many are due', async () => {
  const batching = { maxEvents: 100, maxWaitSeconds: 60 }
  const { api, receiver, endpoint, publish } = await aBatchingEndpoint({ batching })
  const more = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const other = await anEndpoint(api, receiver.url)
      await api.patch(other.path, { batching })
      return other
    }),
  )
  await publish(100)
  anotherWorker(world)
  for (const each of [endpoint, ...more]) await inState(each, 'DELIVERED', 100)
  expect(receiver.requests.map((request) => eventsIn(request).length)).toEqual([100, 100, 100, 100])
})

test('a batch that fails is one failure of its endpoint', async () => {
  const { api, receiver, endpoint, publish } = await aBatchingEndpoint({
    batching: { maxEvents: 30, maxWaitSeconds: 0 },
  })
  receiver.answers(500)
  await publish(30)
  anotherWorker(world)
  await attempted(world, endpoint, 1)
  const health = await api.get(`${endpoint.path}/health`)
  expect(health.body).toMatchObject({ state: 'HEALTHY', consecutiveFailures: 1 })
})
