import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { anEndpoint, anotherWorker, aPatientReceiver, deliveriesOf } from './fixture.ts'

// No worker runs but the two that each test starts.
let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

/** A receiver that takes its time, and knows when requests began and how many were open at once. */
async function aCounter(answersAfterMs: number, status = 204) {
  const beganMs: number[] = []
  const counts = { open: 0, most: 0 }
  const server = createServer(async (message, response) => {
    beganMs.push(performance.now())
    counts.open += 1
    counts.most = Math.max(counts.most, counts.open)
    message.resume()
    await after(answersAfterMs)
    counts.open -= 1
    response.writeHead(status).end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  return { url, beganMs, counts }
}

/** The most requests that began within any such time. */
function mostWithin(beganMs: readonly number[], windowMs: number): number {
  const counts = beganMs.map(
    (from) => beganMs.filter((at) => at >= from && at < from + windowMs).length,
  )
  return Math.max(0, ...counts)
}

async function publish(api: Api, count: number): Promise<void> {
  await publishAtOnce(world, await tenantOf(api), await aClient(api), count)
}

async function expectBalance({ id }: { id: string }, delivered: number): Promise<void> {
  const ofEndpoint =
    'select delivered::int, missing::int from webhook_balance where endpoint_id = $1'
  await until(async () => {
    const [row] = await world.query<{ delivered: number }>(ofEndpoint, [id])
    return row?.delivered === delivered
  }, 20_000)
  expect(await world.query(ofEndpoint, [id])).toEqual([{ delivered, missing: 0 }])
}

test('no endpoint gets more at once than it allows, whatever workers there are, and others get all', async () => {
  const api = await world.newTenant()
  const [narrow, wide, usual] = [await aCounter(120), await aCounter(120), await aCounter(120)]
  const [three, fifty, ten] = [
    await anEndpoint(api, narrow.url),
    await anEndpoint(api, wide.url),
    await anEndpoint(api, usual.url),
  ]
  await api.patch(three.path, { inFlightMax: 3 })
  await api.patch(fifty.path, { inFlightMax: 50 })
  await publish(api, 119)
  anotherWorker(world)
  anotherWorker(world)
  await expectBalance(fifty, 120)
  expect(narrow.beganMs.length).toBeLessThan(120)
  await expectBalance(ten, 120)
  await expectBalance(three, 120)
  expect(narrow.counts.most).toBe(3)
  expect(usual.counts.most).toBe(10)
  expect(wide.counts.most).toBeGreaterThan(10)
  expect(wide.counts.most).toBeLessThanOrEqual(50)
})

test('no endpoint gets more in a second than it allows, whatever workers there are, and others get all', async () => {
  const api = await world.newTenant()
  const [slow, free] = [await aCounter(0), await aCounter(0)]
  const [rated, other] = [await anEndpoint(api, slow.url), await anEndpoint(api, free.url)]
  await api.patch(rated.path, { rateLimit: { perSecond: 20 } })
  await publish(api, 99)
  anotherWorker(world)
  anotherWorker(world)
  await expectBalance(other, 100)
  expect(slow.beganMs.length).toBeLessThan(60)
  const reasons = (await deliveriesOf(api, `&endpointId=${rated.id}&isDelivered=false`)).map(
    ({ undelivered }) => undelivered?.reason,
  )
  expect(new Set(reasons)).toContain('RATE_LIMITED')
  await expectBalance(rated, 100)
  expect(mostWithin(slow.beganMs, 1_000)).toBeLessThanOrEqual(20)
  const tookMs = (slow.beganMs.at(-1) ?? 0) - (slow.beganMs[0] ?? 0)
  console.log(
    `100 at 20 a second: ${Math.round(tookMs)} ms, ${mostWithin(slow.beganMs, 1_000)} at most`,
  )
  expect(tookMs).toBeLessThan(9_000)
})

test('failures and their retries count like any request', async () => {
  const api = await world.newTenant()
  const failing = await aCounter(0, 500)
  const rated = await anEndpoint(api, failing.url)
  const retryPolicy = { delaysSeconds: [1, 1] }
  await api.patch(rated.path, { rateLimit: { perSecond: 4 }, retryPolicy })
  // Fewer than open its circuit.
  await publish(api, 5)
  anotherWorker(world)
  anotherWorker(world)
  await until(() => failing.beganMs.length === 18, 15_000)
  expect(mostWithin(failing.beganMs, 1_000)).toBeLessThanOrEqual(4)
})

test('a rate by the minute lets as many through as it says, evenly, and costs others no write', async () => {
  const api = await world.newTenant()
  const [counter, free] = [await aCounter(0), await aCounter(0)]
  const [rated, other] = [await anEndpoint(api, counter.url), await anEndpoint(api, free.url)]
  await api.patch(rated.path, { rateLimit: { perMinute: 6 } })
  await publish(api, 4)
  anotherWorker(world)
  await expectBalance(other, 5)
  expect(counter.beganMs).toHaveLength(1)
  const aheadSeconds = async () => {
    const rows = await world.query<{ endpoint_id: string; seconds: number }>(
      `select endpoint_id, extract(epoch from next_at - now())::float as seconds
        from webhook_pace where endpoint_id = any($1)`,
      [[rated.id, other.id]],
    )
    expect(rows.map(({ endpoint_id }) => endpoint_id)).toEqual([rated.id])
    return rows[0]?.seconds ?? 0
  }
  expect(await aheadSeconds()).toBeGreaterThan(5)
  expect(await aheadSeconds()).toBeLessThan(10.1)
  // Ten seconds later.
  await world.query(`update webhook_pace set next_at = now() where endpoint_id = $1`, [rated.id])
  await until(() => counter.beganMs.length === 2)
  // A rate that was a low one does not hold up a higher one.
  expect(await aheadSeconds()).toBeGreaterThan(5)
  await api.patch(rated.path, { rateLimit: { perSecond: 100 } })
  await until(() => counter.beganMs.length === 5, 2_000)
  expect((await api.patch(rated.path, { rateLimit: null })).body.rateLimit).toBe(null)
})

test('a limit that is none is refused, and it says where; one takes the place of the other', async () => {
  const api = await world.newTenant()
  const { url } = await aPatientReceiver()
  const endpoint = await anEndpoint(api, url)
  expect((await api.get(endpoint.path)).body).toMatchObject({ inFlightMax: 10, rateLimit: null })
  for (const [body, pointer] of [
    [{ inFlightMax: 0 }, '/inFlightMax'],
    [{ inFlightMax: 51 }, '/inFlightMax'],
    [{ inFlightMax: null }, '/inFlightMax'],
    [{ rateLimit: {} }, '/rateLimit'],
    [{ rateLimit: { perSecond: 1, perMinute: 1 } }, '/rateLimit'],
    [{ rateLimit: { perSecond: 0 } }, '/rateLimit/perSecond'],
    [{ rateLimit: { perSecond: 1_001 } }, '/rateLimit/perSecond'],
    [{ rateLimit: { perMinute: 60_001 } }, '/rateLimit/perMinute'],
    [{ rateLimit: { perHour: 1 } }, '/rateLimit/perHour'],
  ] as const) {
    const refused = refusedWith(await api.patch(endpoint.path, body), 'invalid_request')
    expect(refused.errors[0].pointer).toBe(pointer)
    const path = '/api/v1/webhook-endpoints'
    refusedWith(await api.post(path, { url, ...body }), 'invalid_request')
  }
  for (const rateLimit of [{ perSecond: 1_000 }, { perMinute: 60_000 }, { perSecond: 1 }]) {
    expect((await api.patch(endpoint.path, { rateLimit })).body).toMatchObject({ rateLimit })
    expect((await api.get(endpoint.path)).body.rateLimit).toEqual(rateLimit)
  }
  expect((await api.patch(endpoint.path, { rateLimit: null })).body.rateLimit).toBe(null)
})
