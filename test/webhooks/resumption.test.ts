import { afterAll, beforeAll, expect, test } from 'vitest'
import { runSequencer } from '#events/sequencer.ts'
import { systemCause } from '#http/operation.ts'
import type { Loop } from '#jobs/loop.ts'
import type { JobRun } from '#jobs/task.ts'
import { reactions } from '#reactions.ts'
import { resumeWebhooks } from '#webhooks/resumption.task.ts'
import { resumptionOf } from '#webhooks/resumption.ts'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { type AnEndpoint, anEndpoint, anotherWorker, aReceiver, deliveriesOf } from './fixture.ts'

// A sequencer runs, but no dispatcher and no jobs, unless a test starts a worker.
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

const hour = 60 * 60 * 1_000

/** A disabled endpoint, for which so many deliveries are held at each of these ages, in hours. */
async function aHeld(url: string, ages: Readonly<Record<number, number>>) {
  const api = await world.newTenant()
  const [tenant, client] = [await tenantOf(api), await aClient(api)]
  await isSequenced()
  const endpoint = await anEndpoint(api, url)
  await api.patch(endpoint.path, { status: 'DISABLED' })
  const hours = Object.keys(ages)
    .map(Number)
    .toSorted((one, other) => other - one)
  for (const [at, age] of hours.entries()) {
    await publishAtOnce(world, tenant, client, ages[age] ?? 0)
    await isSequenced()
    world.step((age - (hours[at + 1] ?? 0)) * hour)
  }
  return { api, tenant, endpoint }
}

const isSequenced = () =>
  until(async () => (await world.query('select from event_pending limit 1')).length === 0)

const resume = (api: Api, { path }: AnEndpoint, body: object) =>
  api.post(`${path}/resumptions`, body)
const preview = async (api: Api, { path }: AnEndpoint, body: object) =>
  (await api.post(`${path}/resumption-previews`, body)).body
const ago = (hours: number) =>
  new Date(world.ctx.clock.now().getTime() - hours * hour).toISOString()
const isEnabled = async (api: Api, { path }: AnEndpoint) =>
  (await api.get(path)).body.status === 'ENABLED'

async function countsOf(api: Api, { id }: AnEndpoint) {
  const made = await deliveriesOf(api, `&endpointId=${id}`)
  const counts = Map.groupBy(made, ({ undelivered }) => undelivered?.reason ?? 'DELIVERED')
  return Object.fromEntries(Array.from(counts, ([reason, those]) => [reason, those.length]))
}

test('an endpoint that is resumed since a moment is told what happened since then and nothing else, as was told beforehand', async () => {
  const receiver = await aReceiver()
  const { api, endpoint } = await aHeld(receiver.url, { 60: 7, 12: 5, 1: 4, 0: 3 })
  const choice = { backlog: 'SINCE', since: ago(6) }
  const before = await countsOf(api, endpoint)
  expect(before).toEqual({ HELD: 19 })
  const told = await preview(api, endpoint, choice)
  expect(told).toMatchObject({
    heldCount: 19,
    ages: [
      { within: 'HOUR', count: 3 },
      { within: 'DAY', count: 9 },
      { within: 'WEEK', count: 7 },
      { within: 'OLDER', count: 0 },
    ],
    choices: [
      { backlog: 'ALL', sentCount: 19, cancelledCount: 0 },
      { backlog: 'SINCE', sentCount: 7, cancelledCount: 12 },
      { backlog: 'NONE', sentCount: 0, cancelledCount: 19 },
    ],
  })
  const ageOf = (moment: string) =>
    Math.round((world.ctx.clock.now().getTime() - Date.parse(moment)) / hour)
  expect([ageOf(told.oldestAt), ageOf(told.newestAt)]).toEqual([60, 0])
  expect(await countsOf(api, endpoint), 'a preview changes nothing').toEqual(before)

  const { status, body } = await resume(api, endpoint, choice)
  expect([status, body.task]).toEqual([202, 'WEBHOOK_RESUMPTION'])
  const { stop } = anotherWorker(world)
  await until(() => isEnabled(api, endpoint))
  await receiver.received(7)
  await world.drain()
  expect(await countsOf(api, endpoint)).toEqual({ DELIVERED: 7, SKIPPED: 12 })
  expect(receiver.requests).toHaveLength(7)
  expect((await api.get(`/api/v1/jobs/${body.id}`)).body.result).toEqual({ cancelledCount: 12 })
  expect((await api.get(`${endpoint.path}/balance`)).body).toMatchObject({
    ...{ matched: 19, delivered: 7, cancelled: 12, isBalanced: true },
  })
  const [skipped] = await deliveriesOf(api, `&endpointId=${endpoint.id}&status=CANCELLED`)
  expect((await api.post(`/api/v1/webhook-deliveries/${skipped?.id}/redeliveries`)).status).toBe(
    202,
  )
  await receiver.received(8)
  await stop()
}, 60_000)

test('a choice outlives the worker that works on it: none of thousands that were not wanted is sent', async () => {
  const receiver = await aReceiver()
  const { api, tenant, endpoint } = await aHeld(receiver.url, { 1: 2_400 })
  // As it would be by itself after a minute: the balance is planned by what it knows of its tables.
  await world.query('analyze')
  const { body: job } = await resume(api, endpoint, { backlog: 'NONE' })
  const cut = new AbortController()
  const run = {
    ...{ tenantId: tenant, jobId: job.id, payload: job.payload, attempt: 1, signal: cut.signal },
    cause: systemCause(world.ctx, 'test'),
    progress: () => cut.abort(),
  } as JobRun
  await expect(resumeWebhooks.run(world.ctx, run)).rejects.toThrow()
  const skipped = async () =>
    (
      await world.query(
        'select from webhook_delivery where endpoint_id = $1 and skipped_at is not null',
        [endpoint.id],
      )
    ).length
  expect(await skipped(), 'a page, and no more').toBe(1_000)
  expect(await isEnabled(api, endpoint), 'not before all of it is gone').toBe(false)
  expect((await api.get(`${endpoint.path}/balance`)).body.isBalanced).toBe(true)

  const { stop } = anotherWorker(world)
  await until(() => isEnabled(api, endpoint), 20_000)
  expect(await skipped()).toBe(2_400)
  await publishAtOnce(world, tenant, await aClient(api), 1)
  await receiver.received(2)
  await world.drain()
  expect(receiver.requests, 'what happened later').toHaveLength(2)
  expect((await api.get(`${endpoint.path}/balance`)).body).toMatchObject({
    ...{ matched: 2_402, delivered: 2, cancelled: 2_400, held: 0, isBalanced: true },
  })
  await stop()
}, 60_000)

test('what a dead worker left behind for an endpoint is skipped with the rest', async () => {
  const receiver = await aReceiver()
  const { api, endpoint } = await aHeld(receiver.url, { 1: 3 })
  await world.query(
    `update delivery_due set lease_token = 'dead.x', leased_until = now() - interval '1 minute'
     where delivery_id = (select min(delivery_id) from delivery_due where endpoint_id = $1)`,
    [endpoint.id],
  )
  await resume(api, endpoint, { backlog: 'NONE' })
  const { stop } = anotherWorker(world)
  await until(() => isEnabled(api, endpoint))
  await world.drain()
  expect(await countsOf(api, endpoint)).toEqual({ SKIPPED: 3 })
  expect(receiver.requests).toEqual([])
  await stop()
})

test('an endpoint that is resumed with all is sent all, and its enabling is told', async () => {
  const receiver = await aReceiver()
  const { api, tenant, endpoint } = await aHeld(receiver.url, { 30: 4 })
  await resume(api, endpoint, { backlog: 'ALL' })
  const { stop } = anotherWorker(world)
  await receiver.received(4)
  await world.drain()
  expect(await countsOf(api, endpoint)).toEqual({ DELIVERED: 4 })
  const [event] = await world.query<{ body: Buffer }>(
    "select body from event where tenant_id = $1 and type = 'webhook_endpoint.updated' order by id desc",
    [tenant],
  )
  expect(JSON.parse(event?.body.toString() ?? '')).toMatchObject({
    ...{ data: { id: endpoint.id, status: 'ENABLED' } },
    changedFields: expect.arrayContaining(['status']),
  })
  await stop()
})

test('a resumption that cannot be meant is refused with its field, and one at a time is enough', async () => {
  const { api, endpoint } = await aHeld('https://hooks.example.com/', {})
  const at = async (body: object) =>
    refusedWith(await resume(api, endpoint, body), 'invalid_request').errors[0].pointer
  expect(await at({ backlog: 'SINCE' })).toBe('/since')
  expect(await at({ backlog: 'NONE', since: ago(1) })).toBe('/since')
  expect(await at({ backlog: 'SINCE', since: ago(-1) })).toBe('/since')
  expect(await at({ backlog: 'SOME' })).toBe('/backlog')
  expect((await resume(api, endpoint, { backlog: 'ALL' })).status).toBe(202)
  expect((await resume(api, endpoint, { backlog: 'NONE' })).status).toBe(409)
  const enabled = await anEndpoint(api, 'https://hooks.example.com/')
  refusedWith(await resume(api, enabled, { backlog: 'ALL' }), 'invalid_state')
})

test('what a choice sends from is decided when it is made', () => {
  const now = new Date('2026-02-04T10:00:00.000Z')
  const since = '2026-02-03T00:00:00.000Z'
  const froms = (['ALL', 'SINCE', 'NONE'] as const).map(
    (backlog) => resumptionOf('whe_1', { backlog, since }, now).sentFrom,
  )
  expect(froms).toEqual([null, since, now.toISOString()])
})
