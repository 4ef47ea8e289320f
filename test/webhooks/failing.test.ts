import { afterAll, beforeAll, expect, test } from 'vitest'
import { failingLimits } from '#webhooks/failing.ts'
import { watchHealth } from '#webhooks/health.task.ts'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { type AnEndpoint, anEndpoint, aReceiver, deliveriesOf } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const hour = 60 * 60 * 1_000
const types = [
  'webhook_endpoint.failing',
  'webhook_endpoint.disabled',
  'webhook_endpoint.recovered',
]

const healthOf = async (api: Api, { path }: AnEndpoint) => (await api.get(`${path}/health`)).body

/** An endpoint that refuses everything, one that is told of it, and so many deliveries. */
async function aFailure(count: number) {
  const api = await world.newTenant()
  const [bad, witness] = [await aReceiver(), await aReceiver()]
  bad.answers(500)
  const endpoint = await anEndpoint(api, bad.url)
  await anEndpoint(api, witness.url, types)
  await publishAtOnce(world, await tenantOf(api), await aClient(api), count - 1)
  await until(async () => (await healthOf(api, endpoint)).state === 'PROBING')
  await world.drain()
  const told = () => witness.requests.map(({ body }) => JSON.parse(body.toString('utf8')))
  return { api, bad, endpoint, told }
}

/** Lets one more delivery through, and waits until its outcome is known. */
async function probe(api: Api, endpoint: AnEndpoint): Promise<void> {
  const { consecutiveFailures, openUntil } = await healthOf(api, endpoint)
  if (openUntil !== null) {
    world.step(Math.max(0, Date.parse(openUntil) - world.ctx.clock.now().getTime()) + 1)
  }
  await until(
    async () => (await healthOf(api, endpoint)).consecutiveFailures !== consecutiveFailures,
  )
}

/** The timetable looks at it, several workers at once, and again. */
async function look(): Promise<void> {
  await Promise.all([watchHealth(world.ctx), watchHealth(world.ctx)])
  await watchHealth(world.ctx)
  await world.drain()
}

test('an endpoint that fails for days is warned of twice and then disabled, each told once, to others, and in the audit', async () => {
  const { api, endpoint, told } = await aFailure(80)
  await look()
  expect(told(), 'an outage is no neglect').toEqual([])
  const startMs = Date.parse((await healthOf(api, endpoint)).firstFailureAt)
  const toHour = (hours: number) =>
    world.step(startMs + hours * hour - world.ctx.clock.now().getTime())

  toHour(24)
  await look()
  expect(told().map(({ type, data }) => [type, data.warningCount])).toEqual([
    ['webhook_endpoint.failing', 1],
  ])
  expect(told()[0].data).toMatchObject({
    ...{ endpointId: endpoint.id, state: 'PROBING' },
    disabledNotBefore: new Date(startMs + failingLimits.disable.forMs).toISOString(),
  })
  while ((await healthOf(api, endpoint)).consecutiveFailures < failingLimits.disable.failuresMin) {
    await probe(api, endpoint)
  }
  toHour(96)
  await look()
  expect(told().map(({ data }) => data.warningCount)).toEqual([1, 2])
  toHour(119)
  await look()
  expect((await api.get(endpoint.path)).body.status).toBe('ENABLED')
  toHour(121)
  await look()
  expect((await api.get(endpoint.path)).body).toMatchObject({
    ...{ status: 'DISABLED', disabledReason: 'FAILING' },
  })
  expect(told().map(({ type }) => type)).toEqual([types[0], types[0], types[1]])
  expect(await healthOf(api, endpoint)).toMatchObject({
    ...{ state: 'DISABLED', inFlightLimit: 0, openUntil: null, disabledNotBefore: null },
  })
  const entries = await api.get(`/api/v1/audit-entries?limit=200`)
  const actions = entries.body.data
    .filter(({ resourceId }: { resourceId: string }) => resourceId === endpoint.id)
    .map(({ action }: { action: string }) => action)
  expect(actions.filter((action: string) => types.includes(action)).sort()).toEqual(
    [types[0], types[0], types[1]].sort(),
  )
  const held = await deliveriesOf(api, `&endpointId=${endpoint.id}&status=HELD`)
  expect(held.length).toBeGreaterThan(0)
  expect((await api.get(`${endpoint.path}/balance`)).body.isBalanced).toBe(true)
}, 120_000)

test('an endpoint that was warned of and accepts again is told to have recovered, once', async () => {
  const { api, bad, endpoint, told } = await aFailure(60)
  world.step(25 * hour)
  await look()
  expect(told().map(({ type }) => type)).toEqual([types[0]])
  bad.answers(200)
  await probe(api, endpoint)
  await until(async () => (await healthOf(api, endpoint)).state === 'HEALTHY')
  await look()
  expect(told().map(({ type }) => type)).toEqual([types[0], types[2]])
  expect(told()[1].data).toMatchObject({ state: 'HEALTHY', warningCount: 0, firstFailureAt: null })
}, 60_000)
