import { afterAll, beforeAll, expect, test } from 'vitest'
import { pruneMetrics } from '#retention/figures.sql.ts'
import { tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import {
  anEndpoint,
  anotherWorker,
  aReceiver,
  attemptsAt,
  createClients,
  deliveriesOf,
} from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const metrics = async (api: Api, query = '') =>
  (await api.get(`/api/v1/webhook-metrics${query}`)).body
const [minute, hour] = [60_000, 3_600_000]

test('the figures are those of the attempts themselves, by endpoint and together, over several workers', async () => {
  const api = await world.newTenant()
  const [good, bad] = [await aReceiver(), await aReceiver()]
  bad.answersWith((_request, count) => ({ status: count % 2 === 0 ? 429 : 500 }))
  const [fine, failing] = [await anEndpoint(api, good.url), await anEndpoint(api, bad.url)]
  const second = anotherWorker(world)
  await createClients(api, 12)
  await until(async () => {
    const { total } = await metrics(api)
    return total.attempts === 24
  }, 15_000)
  const { groupBy, total, groups } = await metrics(api, '?groupBy=ENDPOINT')
  expect(groupBy).toBe('ENDPOINT')
  expect(total).toMatchObject({
    ...{ attempts: 24, attemptSuccessRate: 0.5, delivered: 12, exhausted: 0 },
    deliverySuccessRate: 1,
  })
  const counts = Object.fromEntries(
    total.outcomes.map(({ outcome, count }: { outcome: string; count: number }) => [
      outcome,
      count,
    ]),
  )
  expect(counts).toEqual({ DELIVERED: 12, THROTTLED: 6, REFUSED: 6 })
  const figuresOf = (id: string) =>
    groups.find(({ endpointId }: { endpointId: string }) => endpointId === id).figures
  expect(figuresOf(fine.id)).toMatchObject({ attempts: 12, attemptSuccessRate: 1 })
  expect(figuresOf(failing.id)).toMatchObject({
    ...{ attempts: 12, attemptSuccessRate: 0, delivered: 0, deliverySuccessRate: null },
  })

  const made = await deliveriesOf(api, `&endpointId=${fine.id}`)
  const tookMs = await Promise.all(
    made.map(async (delivery) => (await attemptsAt(api, delivery))[0]?.durationMs ?? 0),
  )
  const [least, most] = [Math.min(...tookMs), Math.max(...tookMs)]
  const { p50Ms, p95Ms, p99Ms } = figuresOf(fine.id)
  expect(p50Ms).toBeGreaterThanOrEqual((least - 1) * 0.98)
  expect(p99Ms).toBeLessThanOrEqual((most + 1) * 1.02)
  expect([p50Ms, p95Ms, p99Ms]).toEqual([p50Ms, p95Ms, p99Ms].toSorted((a, b) => a - b))

  const own = await api.get(`${fine.path}/metrics?groupBy=HOUR`)
  expect(own.body.total.attempts).toBe(12)
  expect(own.body.groups.at(-1).figures.delivered).toBe(12)
  const overMinutes = (Date.parse(own.body.to) - Date.parse(own.body.from)) / minute
  expect(own.body.total.deliveriesPerMinute).toBeCloseTo(12 / overMinutes, 5)
  const other = await world.newTenant()
  expect((await metrics(other)).total.attempts).toBe(0)
  expect((await other.get(`${fine.path}/metrics`)).status).toBe(404)
  await second.stop()
}, 60_000)

test('a delivery that is given up is counted so, and figures go when they are old', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(410)
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  const total = async () => (await api.get(`${endpoint.path}/metrics`)).body.total
  await until(async () => (await total()).exhausted === 1)
  expect(await total()).toMatchObject({ delivered: 0, deliverySuccessRate: 0, attempts: 1 })
  const rows = async () => {
    const kept = await world.query<{ span_seconds: number }>(
      'select span_seconds from webhook_metric where tenant_id = $1 order by 1',
      [await tenantOf(api)],
    )
    return kept.map(({ span_seconds }) => span_seconds)
  }
  expect(await rows()).toEqual([300, 3_600])
  world.step(49 * hour)
  await pruneMetrics(world.ctx)
  expect(await rows()).toEqual([3_600])
  world.step(41 * 24 * hour)
  await pruneMetrics(world.ctx)
  expect(await rows()).toEqual([3_600])
  world.step(50 * 24 * hour)
  await pruneMetrics(world.ctx)
  expect(await rows()).toEqual([])
})

test('a time that cannot be meant is refused with its name', async () => {
  const { api } = world
  const now = world.ctx.clock.now().getTime()
  const at = (ms: number) => encodeURIComponent(new Date(now + ms).toISOString())
  for (const query of [
    `?from=${at(hour)}`,
    `?from=${at(-32 * 24 * hour)}`,
    `?from=${at(-hour)}&to=${at(-2 * hour)}`,
  ]) {
    const { errors } = refusedWith(
      await api.get(`/api/v1/webhook-metrics${query}`),
      'invalid_request',
    )
    expect(errors[0].parameter).toBe('from')
  }
  refusedWith(await api.get('/api/v1/webhook-metrics?groupBy=MONTH'), 'invalid_request')
})
