import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { runSequencer } from '#events/sequencer.ts'
import type { TenantId } from '#ids.ts'
import type { Loop } from '#jobs/loop.ts'
import { reactions } from '#reactions.ts'
import { endLongWaits } from '#retention/waiting.sql.ts'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, type Reply, refusedWith, startWorld, type World } from '../world.ts'
import { type AnEndpoint, anEndpoint, anotherWorker, aReceiver, deliveriesOf } from './fixture.ts'

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

const [second, hour, day] = [1_000, 3_600_000, 86_400_000]

type Client = Reply['body']

async function anOrderedEndpoint(api: Api, url: string, options: object = {}) {
  const endpoint = await anEndpoint(api, url)
  const { status, body } = await api.patch(endpoint.path, { ordering: 'RESOURCE', ...options })
  if (status !== 200) throw new Error(JSON.stringify(body))
  return endpoint
}

/** A tenant, and its clients, told of before there was any endpoint. */
async function someClients(count: number) {
  const api = await world.newTenant()
  const clients: Client[] = []
  for (let made = 0; made < count; made += 1) clients.push(await aClient(api))
  await until(async () => (await world.query('select from event_pending limit 1')).length === 0)
  return { api, tenant: await tenantOf(api), clients }
}

/** Tells of clients in turns, so often each; answers the ids of the events by client, in order. */
async function tell(tenant: TenantId, clients: readonly Client[], times: number) {
  const told = new Map<string, string[]>(clients.map(({ id }) => [id, []]))
  for (let turn = 0; turn < times; turn += 1) {
    for (const client of clients) {
      const [id = ''] = await publishAtOnce(world, tenant, client, 1)
      told.get(client.id)?.push(id)
    }
  }
  return told
}

interface Heard {
  key: string
  eventId: string
  status: number
  beganMs: number
  endedMs: number
}

/** A receiver that takes some time, fails as it is told, and remembers when. */
async function aListener(statusOf: (count: number) => number) {
  const heard: Heard[] = []
  let count = 0
  const server = createServer(async (message, response) => {
    const beganMs = performance.now()
    const chunks: Buffer[] = []
    for await (const chunk of message) chunks.push(chunk)
    const { id, data } = JSON.parse(Buffer.concat(chunks).toString())
    count += 1
    const status = statusOf(count)
    await after((count * 7) % 40)
    heard.push({ key: data.id, eventId: id, status, beganMs, endedMs: performance.now() })
    response.writeHead(status).end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, heard }
}

const delivered = (endpoint: AnEndpoint, count: number, deadlineMs = 40_000) =>
  until(async () => {
    const [row] = await world.query<{ count: number }>(
      `select count(*)::int as count from webhook_delivery
        where endpoint_id = $1 and status = 'DELIVERED'`,
      [endpoint.id],
    )
    return row?.count === count
  }, deadlineMs)

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

test('what is about one resource goes out in the order of the log, whatever fails and whoever sends', async () => {
  const { api, tenant, clients } = await someClients(5)
  const listener = await aListener((count) => (count % 4 === 0 ? 500 : 204))
  const retryPolicy = { delaysSeconds: Array(10).fill(1) }
  const endpoint = await anOrderedEndpoint(api, listener.url, { retryPolicy })
  anotherWorker(world)
  anotherWorker(world)
  const told = await tell(tenant, clients, 8)
  await delivered(endpoint, 40)

  for (const [key, events] of told) {
    const ofKey = listener.heard.filter((one) => one.key === key)
    const ordered = ofKey.toSorted((one, other) => one.beganMs - other.beganMs)
    const accepted = ordered.filter(({ status }) => status === 204)
    expect(accepted.map(({ eventId }) => eventId)).toEqual(events)
    for (const [at, { status, eventId, beganMs }] of ordered.entries()) {
      const before = ordered[at - 1]
      if (before === undefined) continue
      expect(beganMs, 'one after another').toBeGreaterThanOrEqual(before.endedMs)
      if (before.status !== 204) expect(eventId, 'what failed comes again').toBe(before.eventId)
      expect(status).toBeOneOf([204, 500])
    }
  }
  const overlaps = listener.heard.some((one) =>
    listener.heard.some(
      (other) =>
        other.key !== one.key && other.beganMs < one.endedMs && other.beganMs > one.beganMs,
    ),
  )
  expect(overlaps, 'different resources do not wait for each other').toBe(true)
  await expectBalance(endpoint)
}, 90_000)

test('what waits for its retry holds up only what comes later about the same resource', async () => {
  const { api, tenant, clients } = await someClients(2)
  const [stuck, free] = clients as [Client, Client]
  const receiver = await aReceiver()
  receiver.answersWith(({ body }) => ({ status: body.includes(stuck.id) ? 500 : 204 }))
  const retryPolicy = { delaysSeconds: [3_600] }
  const endpoint = await anOrderedEndpoint(api, receiver.url, { retryPolicy })
  // More than a claim looks at.
  const ids = await publishAtOnce(world, tenant, stuck, 210)
  await publishAtOnce(world, tenant, free, 20)
  anotherWorker(world)
  await delivered(endpoint, 20)
  expect(receiver.requests.filter(({ body }) => body.includes(stuck.id))).toHaveLength(1)
  await until(async () => {
    const reasons = (await reasonsAt(api, endpoint)).toSorted()
    return reasons.length === 210 && reasons[209] === 'RETRY' && reasons[208] === 'ORDER'
  })
  const sinceFreed = receiver.requests.length
  receiver.answers(204)
  world.step(1.3 * hour)
  await delivered(endpoint, 230, 90_000)
  const heard = receiver.requests.slice(sinceFreed)
  expect(heard.map(({ headers }) => headers['webhook-id'])).toEqual(ids)
  await expectBalance(endpoint)
}, 180_000)

test('what has failed for good, or was cancelled, holds up nothing', async () => {
  const { api, tenant, clients } = await someClients(1)
  const receiver = await aReceiver()
  receiver.answers(500)
  const endpoint = await anOrderedEndpoint(api, receiver.url, {
    retryPolicy: { delaysSeconds: [] },
  })
  const ids = await publishAtOnce(world, tenant, clients[0], 3)
  anotherWorker(world)
  await until(() => receiver.requests.length === 3)
  expect(receiver.requests.map(({ headers }) => headers['webhook-id'])).toEqual(ids)
  await until(
    async () => String(await reasonsAt(api, endpoint)) === 'EXHAUSTED,EXHAUSTED,EXHAUSTED',
  )

  await api.patch(endpoint.path, { retryPolicy: { delaysSeconds: [604_800, 604_800] } })
  await publishAtOnce(world, tenant, clients[0], 2)
  await until(() => receiver.requests.length === 4)
  await until(async () => (await reasonsAt(api, endpoint)).includes('RETRY'))
  // Neither comes before it is too old.
  await world.query(
    `update delivery_due set due_at = now() + interval '60 days' where endpoint_id = $1`,
    [endpoint.id],
  )
  world.step(30 * day)
  receiver.answers(204)
  await endLongWaits(world.ctx)
  const [id] = await publishAtOnce(world, tenant, clients[0], 1)
  await until(() => receiver.requests.length === 5)
  expect(receiver.requests[4]?.headers['webhook-id']).toBe(id)
  await expectBalance(endpoint)
})

test('who begins to want order gets it also of what waits already, and who does not want it any more is told all', async () => {
  const { api, tenant, clients } = await someClients(1)
  const receiver = await aReceiver()
  receiver.answers(500)
  const endpoint = await anEndpoint(api, receiver.url)
  const retryPolicy = { delaysSeconds: [3_600] }
  expect((await api.patch(endpoint.path, { retryPolicy })).body.ordering).toBe('NONE')
  anotherWorker(world)
  const [first] = await publishAtOnce(world, tenant, clients[0], 1)
  await until(async () => String(await reasonsAt(api, endpoint)) === 'RETRY')
  const changed = await api.patch(endpoint.path, { ordering: 'RESOURCE' })
  expect(changed.body.ordering).toBe('RESOURCE')
  const [later] = await publishAtOnce(world, tenant, clients[0], 1)
  await until(async () => (await reasonsAt(api, endpoint)).includes('ORDER'))
  await after(300)
  expect(receiver.requests).toHaveLength(1)

  await api.patch(endpoint.path, { ordering: 'NONE' })
  receiver.answers(204)
  world.step(61 * second)
  await until(() => receiver.requests.length === 2)
  expect(receiver.requests[1]?.headers['webhook-id']).toBe(later)
  world.step(1.3 * hour)
  await delivered(endpoint, 2)
  expect(receiver.requests[2]?.headers['webhook-id']).toBe(first)
  refusedWith(await api.patch(endpoint.path, { ordering: 'TENANT' }), 'invalid_request')
  refusedWith(await api.patch(endpoint.path, { ordering: null }), 'invalid_request')
})

test('what is told once more takes its place by its event, and endpoints without order have none', async () => {
  const { api, tenant, clients } = await someClients(1)
  const receiver = await aReceiver()
  const [ordered, free] = [
    await anOrderedEndpoint(api, receiver.url),
    await anEndpoint(api, receiver.url),
  ]
  const since = world.ctx.clock.now().toISOString()
  const ids = await publishAtOnce(world, tenant, clients[0], 3)
  anotherWorker(world)
  await delivered(ordered, 3)
  await delivered(free, 3)
  // What comes now stays, to be looked at.
  for (const { path } of [ordered, free]) await api.patch(path, { rateLimit: { perMinute: 1 } })
  await world.query(
    `insert into webhook_pace select tenant_id, id, now() + interval '1 minute'
      from webhook_endpoint where id = any($1)`,
    [[ordered.id, free.id]],
  )
  const places = (endpoint: AnEndpoint) =>
    world.query<{ event_id: string; order_key: string | null; is_placed: boolean }>(
      `select event_id, order_key, position = (select position from event_position
          where tenant_id = due.tenant_id and event_id = due.event_id) as is_placed
        from delivery_due as due where endpoint_id = $1 order by position, event_id`,
      [endpoint.id],
    )
  for (const { id } of await deliveriesOf(api, `&eventId=${ids[1]}`)) {
    await api.post(`/api/v1/webhook-deliveries/${id}/redeliveries`)
  }
  const key = clients[0].id
  expect(await places(ordered)).toEqual([{ event_id: ids[1], order_key: key, is_placed: true }])
  expect(await places(free)).toMatchObject([{ event_id: ids[1], order_key: null }])
  const request = { eventId: ids[2], endpointIds: [ordered.id, free.id] }
  expect((await api.post('/api/v1/webhook-deliveries', request)).status).toBe(202)
  const replay = { since, endpointIds: [ordered.id], which: 'ALL' }
  expect((await api.post('/api/v1/webhook-replays', replay)).status).toBe(202)
  await until(async () => (await places(ordered)).length === 3)
  expect(await places(ordered)).toEqual(
    ids.map((event_id) => ({ event_id, order_key: key, is_placed: true })),
  )
  expect(await places(free)).toMatchObject(
    [ids[1], ids[2]].map((event_id) => ({ event_id, order_key: null })),
  )
})

test('one of high priority goes before all that waits, but for what comes before it about its resource', async () => {
  const { api, tenant, clients } = await someClients(2)
  const [stuck, other] = clients as [Client, Client]
  const receiver = await aReceiver()
  receiver.answersWith(({ body }) => ({ status: body.includes(stuck.id) ? 500 : 204 }))
  const endpoint = await anOrderedEndpoint(api, receiver.url, {
    ...{ retryPolicy: { delaysSeconds: [3_600, 3_600] }, rateLimit: { perSecond: 1 } },
  })
  const [early = '', late = ''] = await publishAtOnce(world, tenant, stuck, 2)
  anotherWorker(world)
  await until(async () => (await reasonsAt(api, endpoint)).includes('RETRY'))
  const others = await publishAtOnce(world, tenant, other, 4)
  await until(() => receiver.requests.length >= 2)
  const ask = async (eventId: string) => {
    const request = { eventId, endpointIds: [endpoint.id], options: { priority: 'HIGH' } }
    const { body } = await api.post('/api/v1/webhook-deliveries', request)
    return body.deliveries[0].id
  }
  // Told again of what is last about the other, and of what is behind the one that is stuck.
  const urgent = await ask(late)
  await ask(others[0] ?? '')
  await delivered(endpoint, 5)
  const heard = receiver.requests.map(({ headers }) => headers['webhook-id'])
  expect(heard.filter((id) => id === late)).toEqual([])
  const ofOther = heard.filter((id) => others.includes(id ?? ''))
  expect(ofOther.lastIndexOf(others[0]), 'it went before those that waited').toBeLessThan(4)
  expect(ofOther.filter((id) => id !== others[0])).toEqual(others.slice(1))
  const { body } = await api.get(`/api/v1/webhook-deliveries/${urgent}`)
  expect(body).toMatchObject({ status: 'PENDING', undelivered: { reason: 'ORDER' } })
  expect(heard[0]).toBe(early)
  await expectBalance(endpoint)
})

test.each([
  ['an id', '{"data":{"id":"cli_1"}}', 'cli_1'],
  ['an id beside what Postgres cannot hold', '{"data":{"id":"a","b":"\\u0000 \\ud800"}}', 'a'],
  ['an id that Postgres cannot hold', '{"data":{"id":"a\\u0000"}}', 'a\u0001'],
  ['a long id', `{"data":{"id":"${'é'.repeat(5_000)}"}}`, 'é'.repeat(100)],
  ['a number', '{"data":{"id":7}}', null],
  ['no id', '{"data":{}}', null],
  ['data that is none', '{"data":[1]}', null],
  ['nothing', '{}', null],
  ['no JSON', 'id', null],
  ['no text', Buffer.from([0xff]), null],
])(
  'the resource of an event with %s is found, or none, and nothing breaks',
  async (_, body, key) => {
    const [row] = await world.query('select ubos_resource_in($1::bytea) as key', [
      Buffer.from(body),
    ])
    expect(row).toEqual({ key })
  },
)
