import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Health } from '#webhooks/health.ts'
import { openMs, opensAfter } from '#webhooks/health.ts'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, startWorld, type World } from '../world.ts'
import {
  type AnEndpoint,
  anEndpoint,
  anotherWorker,
  aPatientReceiver,
  aReceiver,
  deliveriesOf,
} from './fixture.ts'

// Each test starts the workers that it needs, so that it knows who is there.
let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const inFlightMax = 10

async function remembered({ id }: AnEndpoint) {
  const [row] = await world.query<{
    state: Health['state']
    consecutive_failures: number
    opened_count: number
    open_until: Date | null
    in_flight_limit: number | null
  }>('select * from webhook_endpoint_health where endpoint_id = $1', [id])
  return row
}

async function statusesOf(api: Api, { id }: AnEndpoint) {
  return Object.groupBy(await deliveriesOf(api, `&endpointId=${id}`), ({ status }) => status)
}

/** An endpoint for whose events there is a receiver, and so many deliveries for it. */
async function aBacklog(url: string, count: number) {
  const api = await world.newTenant()
  const endpoint = await anEndpoint(api, url)
  await publishAtOnce(world, await tenantOf(api), await aClient(api), count - 1)
  return { api, endpoint }
}

const isOpen = async (endpoint: AnEndpoint) => (await remembered(endpoint))?.state === 'PROBING'

/** To the moment from which one delivery is let through. */
async function toProbe(endpoint: AnEndpoint): Promise<void> {
  const untilMs = (await remembered(endpoint))?.open_until?.getTime() ?? 0
  world.step(Math.max(0, untilMs - world.ctx.clock.now().getTime()) + 1)
}

test('an endpoint that refuses everything is left alone, tried with one delivery now and then, and gets the rest once it accepts', async () => {
  const receiver = await aReceiver()
  receiver.answers(500)
  const { api, endpoint } = await aBacklog(receiver.url, 60)
  const { stop } = anotherWorker(world)
  await until(() => isOpen(endpoint))
  await world.drain()
  const heard = receiver.requests.length
  expect(heard).toBeGreaterThanOrEqual(opensAfter)
  expect(heard).toBeLessThan(opensAfter + inFlightMax)
  expect(await remembered(endpoint)).toMatchObject({ consecutive_failures: heard, opened_count: 1 })

  await toProbe(endpoint)
  await receiver.received(heard + 1)
  await until(async () => (await remembered(endpoint))?.opened_count === 2)
  await world.drain()
  expect(receiver.requests, 'one to probe, no more').toHaveLength(heard + 1)
  const lastsMs = ((await remembered(endpoint))?.open_until?.getTime() ?? 0) - Date.now()
  expect(lastsMs).toBeGreaterThan(openMs.first)

  receiver.answers(200)
  await toProbe(endpoint)
  await until(async () => (await statusesOf(api, endpoint)).DELIVERED?.length === 60, 15_000)
  expect(await remembered(endpoint), 'what is well is not remembered').toBeUndefined()
  const { body } = await api.get(`${endpoint.path}/balance`)
  expect(body).toMatchObject({ matched: 60, delivered: 60, isBalanced: true })
  await stop()
})

test('an open circuit outlives the workers that opened it, and those after them probe one at a time together', async () => {
  const receiver = await aPatientReceiver()
  const { endpoint } = await aBacklog(receiver.url, 60)
  const first = anotherWorker(world)
  const refuse = async () => {
    for (; !(await isOpen(endpoint)); ) {
      if (receiver.waiting.length > 0) receiver.answer(500)
      else await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  await refuse()
  // What was under way when it opened may still come.
  const refusing = setInterval(() => {
    while (receiver.waiting.length > 0) receiver.answer(500)
  }, 5)
  await world.drain()
  clearInterval(refusing)
  await first.stop()

  const workers = [anotherWorker(world), anotherWorker(world)]
  await aHealthyRound()
  expect(receiver.waiting, 'what the first knew the others know').toHaveLength(0)
  await toProbe(endpoint)
  await until(() => receiver.waiting.length === 1)
  await aHealthyRound()
  expect(receiver.waiting, 'one at a time, over all workers').toHaveLength(1)
  receiver.answer(200)
  await until(() => receiver.waiting.length === 2)
  await aHealthyRound()
  expect(receiver.waiting, 'each success lets one more through').toHaveLength(2)
  await Promise.all(workers.map(({ stop }) => stop(0)))
})

/** Workers have looked for work since: a delivery that was made now has been accepted. */
async function aHealthyRound(): Promise<void> {
  const receiver = await aReceiver()
  await aBacklog(receiver.url, 1)
  await receiver.received(1)
}

test('an endpoint that moved, or is enabled again, begins anew', async () => {
  for (const patch of [{ url: 'moved' }, { status: 'ENABLED' }]) {
    const [bad, good] = [await aReceiver(), await aReceiver()]
    bad.answers(500)
    const { api, endpoint } = await aBacklog(bad.url, 30)
    const { stop } = anotherWorker(world)
    await until(() => isOpen(endpoint))
    await world.drain()
    bad.answers(200)
    if (patch.status) await api.patch(endpoint.path, { status: 'DISABLED' })
    const moved = patch.url ? { url: good.url } : patch
    expect((await api.patch(endpoint.path, moved)).status).toBe(200)
    expect(await remembered(endpoint)).toBeUndefined()
    world.step(10_000)
    await until(async () => (await statusesOf(api, endpoint)).DELIVERED?.length === 30)
    await stop()
  }
})

const attemptsOf = ({ id }: AnEndpoint) =>
  world.query(
    `select from attempt join webhook_delivery as made
       on made.tenant_id = attempt.tenant_id and made.id = attempt.delivery_id
     where made.endpoint_id = $1`,
    [id],
  )

test('an outcome whose lease was lost says nothing of its endpoint', async () => {
  const receiver = await aPatientReceiver()
  const { endpoint } = await aBacklog(receiver.url, 2)
  const { stop } = anotherWorker(world)
  await until(() => receiver.waiting.length === 2)
  await world.query(
    `update delivery_due set lease_token = 'other.x', leased_until = now() + interval '1 hour'
     where delivery_id = (select min(delivery_id) from delivery_due where endpoint_id = $1)`,
    [endpoint.id],
  )
  receiver.answer(500)
  receiver.answer(500)
  await until(async () => (await attemptsOf(endpoint)).length === 1)
  await aHealthyRound()
  expect(await remembered(endpoint)).toMatchObject({ consecutive_failures: 1 })
  await stop(0)
})

test('what its former URL answered is not held against an endpoint that moved meanwhile', async () => {
  const [former, present] = [await aPatientReceiver(), await aReceiver()]
  const { api, endpoint } = await aBacklog(former.url, 2)
  const { stop } = anotherWorker(world)
  await until(() => former.waiting.length === 2)
  expect((await api.patch(endpoint.path, { url: present.url })).status).toBe(200)
  former.answer(503)
  former.answer(503)
  await until(async () => (await attemptsOf(endpoint)).length === 2)
  expect(await remembered(endpoint)).toBeUndefined()
  await stop(0)
})

test('the health of an endpoint is shown with reasons and evidence, and changes nothing of the endpoint itself', async () => {
  const [bad, good] = [await aReceiver(), await aReceiver()]
  bad.answers(500)
  const { api, endpoint } = await aBacklog(bad.url, 60)
  const fine = await anEndpoint(api, good.url, ['client.updated'])
  const off = await anEndpoint(api, good.url)
  await api.patch(off.path, { status: 'DISABLED' })
  const before = await api.get(endpoint.path)
  const { stop } = anotherWorker(world)
  await until(() => isOpen(endpoint))
  await world.drain()

  const { body } = await api.get(`${endpoint.path}/health`)
  expect(body).toMatchObject({
    ...{ endpointId: endpoint.id, state: 'PROBING', lastOutcome: 'REFUSED', inFlightLimit: 1 },
    ...{ consecutiveFailures: bad.requests.length, lastSuccessAt: null, warningCount: 0 },
  })
  const codes = body.reasons.map(({ code }: { code: string }) => code)
  expect(codes).toEqual(['CIRCUIT_OPEN', 'CONSECUTIVE_FAILURES', 'FREQUENT_FAILURES'])
  expect(body.reasons[0].message).toContain(body.openUntil)
  expect(body.failures).toHaveLength(10)
  const [failure] = body.failures
  const attempts = await api.get(`/api/v1/webhook-deliveries/${failure.deliveryId}/attempts`)
  expect(attempts.body.data).toContainEqual(
    expect.objectContaining({ id: failure.attemptId, outcome: 'REFUSED', responseStatus: 500 }),
  )
  const after = await api.get(endpoint.path)
  expect([after.body, after.headers.get('etag')]).toEqual([before.body, before.headers.get('etag')])

  const waiting = await deliveriesOf(api, `&endpointId=${endpoint.id}&isDelivered=false`)
  const kept = waiting.filter(({ undelivered }) => undelivered?.reason === 'CIRCUIT_OPEN')
  expect(kept.length).toBeGreaterThanOrEqual(60 - bad.requests.length)
  expect(kept[0]?.undelivered?.since).toBe(body.since)
  expect(kept[0]?.nextAttemptAt).toBe(body.openUntil)

  const listed = async (health: string) =>
    (await api.get(`/api/v1/webhook-endpoints?health=${health}`)).body.data.map(
      ({ id }: { id: string }) => id,
    )
  expect(await listed('PROBING')).toEqual([endpoint.id])
  expect(await listed('HEALTHY')).toEqual([fine.id])
  expect(await listed('DISABLED')).toEqual([off.id])
  expect(await listed('DEGRADED')).toEqual([])
  expect((await api.get(`${fine.path}/health`)).body).toMatchObject({
    ...{ state: 'HEALTHY', reasons: [], inFlightLimit: 10, failures: [], lastSuccessAt: null },
  })
  const reached = await anEndpoint(api, good.url)
  await api.post(`${reached.path}/test-events`)
  await until(async () => (await api.get(`${reached.path}/health`)).body.lastSuccessAt !== null)
  await stop()
})
