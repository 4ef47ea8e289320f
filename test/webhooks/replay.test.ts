import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startWorker } from '#app.ts'
import { kyselyOver } from '#db/database.ts'
import type { openDatabases } from '#db/open.ts'
import { readPage } from '#webhooks/replay.sql.ts'
import { connectAs, databaseUrlOf, tenantOf } from '../db/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, contextOf, refusedWith, startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, createClients, deliveriesOf } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const replays = '/api/v1/webhook-replays'
const previews = '/api/v1/webhook-replay-previews'
const minuteMs = 60_000
const agoMs = (ms: number) => new Date(world.ctx.clock.now().getTime() - ms).toISOString()

async function ended(api: Api, jobId: string) {
  await until(async () => {
    const { body } = await api.get(`/api/v1/jobs/${jobId}`)
    return body.finishedAt !== null
  }, 30_000)
  return (await api.get(`/api/v1/jobs/${jobId}`)).body
}

async function replayed(api: Api, request: object) {
  const { status, body } = await api.post(replays, { deliveriesPerSecond: 1_000, ...request })
  expect(status).toBe(202)
  const job = await ended(api, body.id)
  expect(job.status).toBe('SUCCEEDED')
  await world.drain()
  return job
}

test('an endpoint that was made too late is told of everything that it missed, byte by byte, once', async () => {
  const api = await world.newTenant()
  await createClients(api, 30)
  await world.drain()
  const receiver = await aReceiver()
  const { id } = await anEndpoint(api, receiver.url)
  const request = { since: agoMs(minuteMs), eventTypes: ['client.created'] }

  const { body: preview } = await api.post(previews, request)
  expect(preview).toEqual({
    ...{ eventCount: 30, deliveryCount: 30, isComplete: true },
    endpoints: [{ endpointId: id, deliveryCount: 30 }],
  })
  const job = await replayed(api, request)
  expect(job.result).toEqual({ eventCount: 30, deliveryCount: 30 })
  expect(job.progress.done).toBe(job.progress.total)

  const stored = await world.query<{ id: string; body: Buffer }>(
    `select id, body from event where tenant_id = $1 and type = 'client.created'`,
    [(await api.get('/api/v1/me')).body.tenant.id],
  )
  const told = new Map(receiver.requests.map((one) => [one.headers['webhook-id'], one.body]))
  expect([...told.keys()].sort()).toEqual(stored.map((event) => event.id).sort())
  expect(receiver.requests).toHaveLength(30)
  for (const event of stored) expect(told.get(event.id)?.equals(event.body)).toBe(true)
  const { body: balance } = await api.get(`/api/v1/webhook-endpoints/${id}/balance`)
  expect(balance).toMatchObject({ matched: 30, delivered: 30, isBalanced: true })
  // Nothing is missing any more.
  expect((await replayed(api, request)).result).toEqual({ eventCount: 0, deliveryCount: 0 })
  expect(receiver.requests).toHaveLength(30)
})

test('all is sent once more under its own webhook-id or a new one, as asked', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const { id } = await anEndpoint(api, receiver.url)
  await createClients(api, 5)
  await until(() => receiver.requests.length === 5)
  await world.drain()
  const idsOf = (from: number) =>
    receiver.requests.slice(from).map(({ headers }) => String(headers['webhook-id']))
  const bodies = (from: number) => receiver.requests.slice(from).map(({ body }) => String(body))

  const since = agoMs(minuteMs)
  await replayed(api, { since, which: 'ALL', endpointIds: [id] })
  expect(idsOf(5).sort()).toEqual(idsOf(0).slice(0, 5).sort())
  await replayed(api, { since, which: 'ALL', endpointIds: [id], webhookId: 'NEW' })
  expect(new Set(idsOf(0)).size).toBe(10)
  expect(bodies(10).sort()).toEqual(bodies(0).slice(0, 5).sort())
  const deliveries = await deliveriesOf(api, `&endpointId=${id}`)
  expect(deliveries.map(({ webhookId }) => webhookId).sort()).toEqual(idsOf(10).sort())
  expect(deliveries.map(({ attemptCount }) => attemptCount)).toEqual([3, 3, 3, 3, 3])
})

test('what was for one endpoint alone, as a test is, no replay tells to another', async () => {
  const api = await world.newTenant()
  const [tested, late] = [await aReceiver(), await aReceiver()]
  const endpoint = await anEndpoint(api, tested.url)
  for (const body of [undefined, { eventType: 'client.created' }]) {
    expect((await api.post(`${endpoint.path}/test-events`, body)).status).toBe(202)
  }
  await until(() => tested.requests.length === 2)
  await world.drain()
  await anEndpoint(api, late.url, ['*'])
  for (const which of ['MISSING', 'ALL']) {
    await replayed(api, { since: agoMs(minuteMs), which, eventTypes: ['*'] })
  }
  const told = late.requests.map(({ body }) => JSON.parse(String(body)))
  expect(told.length).toBeGreaterThan(0)
  expect(told.filter(({ isTest, type }) => isTest || type === 'webhook_endpoint.tested')).toEqual(
    [],
  )
  expect(tested.requests.length).toBeGreaterThanOrEqual(4)
})

test('a page of a replay looks its events up, one by one, and reads no others', async () => {
  const tenant = await tenantOf(await world.newTenant())
  const client = await connectAs(databaseUrlOf(world), 'ubos_api')
  await client.query(`begin; set local ubos.tenant_id = '${tenant}'`)
  const explained: string[] = []
  const db = kyselyOver(async ({ sql, parameters }) => {
    const { rows } = await client.query(`explain ${sql}`, [...parameters])
    explained.push(...rows.map((row) => row['QUERY PLAN']))
    return { rows: [] }
  })
  const state = { position: 0, untilPosition: 9, eventCount: 0, deliveryCount: 0 }
  await readPage(db, tenant, state, { limit: 100, withPayloads: false })
  await client.end()
  const plan = explained.join('\n')
  expect(plan).toMatch(/Limit.*Nested Loop.*event_position.*Limit.*event_2/s)
  expect(plan).not.toMatch(/(Hash|Merge) Join/)
})

test('what was delivered is not sent again when only the undelivered is asked for', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const { id } = await anEndpoint(api, receiver.url)
  await createClients(api, 4)
  await until(() => receiver.requests.length === 4)
  await world.drain()
  const [lost] = await deliveriesOf(api, `&endpointId=${id}`)
  await world.query(`update webhook_delivery set status = 'EXHAUSTED' where id = $1`, [lost?.id])
  const late = await anEndpoint(api, (await aReceiver()).url)
  const request = { since: agoMs(minuteMs), which: 'UNDELIVERED' }

  const { body: preview } = await api.post(previews, request)
  expect(preview.endpoints).toEqual([{ endpointId: id, deliveryCount: 1 }])
  await replayed(api, request)
  const again = receiver.requests.slice(4).map(({ headers }) => headers['webhook-id'])
  expect(again).toEqual([lost?.eventId])
  expect(await deliveriesOf(api, `&endpointId=${late.id}`)).toEqual([])
})

test('a replay keeps to its pace, and stops when it is cancelled', async () => {
  const api = await world.newTenant()
  await createClients(api, 60)
  await world.drain()
  const receiver = await aReceiver()
  await anEndpoint(api, receiver.url)
  const request = {
    since: agoMs(minuteMs),
    eventTypes: ['client.created'],
    deliveriesPerSecond: 10,
  }
  const startMs = performance.now()
  const { body: job } = await api.post(replays, request)
  await until(() => receiver.requests.length >= 20)
  expect(performance.now() - startMs).toBeGreaterThan(900)
  refusedWith(await api.post(replays, request), 'unique_key_taken')

  await api.post(`/api/v1/jobs/${job.id}/cancellation`)
  expect((await ended(api, job.id)).status).toBe('CANCELLED')
  await world.drain()
  expect(receiver.requests.length).toBeLessThan(60)
  expect((await api.post(replays, request)).status).toBe(202)
})

test('its pace counts deliveries, not events, however many endpoints there are', async () => {
  const api = await world.newTenant()
  await createClients(api, 12)
  await world.drain()
  const receiver = await aReceiver()
  for (let count = 0; count < 5; count += 1) await anEndpoint(api, receiver.url)
  const request = {
    since: agoMs(minuteMs),
    eventTypes: ['client.created'],
    deliveriesPerSecond: 10,
  }
  const { body: job } = await api.post(replays, request)
  await until(() => receiver.requests.length >= 10)
  // Without a cut the first page of all twelve events would have made sixty.
  await new Promise((later) => setTimeout(later, 500))
  expect(receiver.requests.length).toBeLessThan(30)
  const { result } = await ended(api, job.id)
  expect(result).toEqual({ eventCount: 12, deliveryCount: 60 })
  await world.drain()
  expect(receiver.requests).toHaveLength(60)
})

test('a replay whose process is stopped goes on in another one, and makes nothing due twice', async () => {
  const own = await startWorld({ parts: ['api'] })
  onTestFinished(() => own.stop())
  function aWorker() {
    const ctx = contextOf(own.ctx.config, own.ctx.clock, own.ctx.db.url)
    const worker = startWorker(ctx)
    return async () => {
      await worker.stop(0)
      await ctx.egress.close()
      await (ctx.db as ReturnType<typeof openDatabases>).close()
    }
  }
  const { api } = own
  await createClients(api, 90)
  const receiver = await aReceiver()
  const stopFirst = aWorker()
  await until(async () => {
    const [row] = await own.query<{ count: string }>('select count(*) from event_pending')
    return row?.count === '0'
  })
  const { id } = await anEndpoint(api, receiver.url)
  const request = {
    since: agoMs(minuteMs),
    eventTypes: ['client.created'],
    deliveriesPerSecond: 30,
  }
  const { body: job } = await api.post(replays, request)
  await until(() => receiver.requests.length >= 30)
  await stopFirst()
  expect(receiver.requests.length).toBeLessThan(90)
  const stopSecond = aWorker()
  onTestFinished(stopSecond)
  const { status, result } = await ended(api, job.id)
  expect({ status, result }).toEqual({
    status: 'SUCCEEDED',
    result: { eventCount: 90, deliveryCount: 90 },
  })
  await own.drain()
  const told = receiver.requests.map(({ headers }) => headers['webhook-id'])
  expect(new Set(told).size).toBe(90)
  const deliveries = await deliveriesOf(api, `&endpointId=${id}`)
  expect(deliveries).toHaveLength(90)
  expect(deliveries.every(({ status: is }) => is === 'DELIVERED')).toBe(true)
}, 60_000)

test('a replay that cannot be meant, or tells nobody, is refused with its field', async () => {
  const api = await world.newTenant()
  const { id, path } = await anEndpoint(api, (await aReceiver()).url)
  await api.patch(path, { status: 'DISABLED' })
  const since = agoMs(minuteMs)
  for (const where of [replays, previews]) {
    const old = await api.post(where, { since: agoMs(29 * 24 * 60 * minuteMs) })
    expect([old.status, old.body.errors[0].pointer]).toEqual([400, '/since'])
    const backward = await api.post(where, { since, until: agoMs(2 * minuteMs) })
    expect([backward.status, backward.body.errors[0].pointer]).toEqual([400, '/until'])
    const stray = await api.post(where, { since, eventTypes: ['client.*', 'clients.*'] })
    expect([stray.status, stray.body.errors[0].pointer]).toEqual([400, '/eventTypes/1'])
    const disabled = await api.post(where, { since, endpointIds: [id] })
    const [refusal] = refusedWith(disabled, 'endpoint_disabled').errors
    expect(refusal.pointer).toBe('/endpointIds/0')
    const nobody = await api.post(where, { since, endpointIds: [world.ctx.clock.newId('whe')] })
    expect(refusedWith(nobody, 'reference_unknown').errors[0].pointer).toBe('/endpointIds/0')
  }
})
