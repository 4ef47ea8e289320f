import { expect, onTestFinished, test, vi } from 'vitest'
import { startWorker } from '#app.ts'
import { createClock } from '#clock.ts'
import type { openDatabases } from '#db/open.ts'
import { until } from '../jobs/until.ts'
import { contextOf, startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, attempted, createClients, deliveriesOf } from './fixture.ts'

vi.setConfig({ testTimeout: 60_000 })

const [minute, day] = [60_000, 24 * 60 * 60_000]

async function aWorld(parts: readonly ('api' | 'worker')[]): Promise<World> {
  const world = await startWorld({ parts })
  onTestFinished(() => world.stop())
  return world
}

/** The only worker of a world, with a clock that can be set. */
function aWorkerWithItsClock({ ctx }: World) {
  let offsetMs = 0
  const clock = createClock(() => new Date(Date.now() + offsetMs))
  const own = contextOf(ctx.config, clock, ctx.db.url)
  const worker = startWorker(own)
  onTestFinished(async () => {
    await worker.stop(2_000)
    await own.egress.close()
    await (own.db as ReturnType<typeof openDatabases>).close()
  })
  return {
    isAhead(ms: number) {
      offsetMs = ms
    },
  }
}

test('a clock that jumps ten minutes ahead and back brings retries early or late by as much, never many, and loses none', async () => {
  const world = await aWorld(['api'])
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(500)
  const endpoint = await anEndpoint(api, receiver.url)
  const worker = aWorkerWithItsClock(world)
  const count = 8
  await createClients(api, count)
  await attempted(world, endpoint, 1)

  worker.isAhead(10 * minute)
  await attempted(world, endpoint, 2)
  worker.isAhead(0)
  // What is made now goes out now, so the worker has looked for work since.
  await createClients(api, 1)
  await until(() => receiver.requests.length === 2 * count + 1)
  const pending = await deliveriesOf(api, `&endpointId=${endpoint.id}&status=PENDING`)
  const old = pending.filter(({ attemptCount }) => attemptCount === 2)
  expect(old).toHaveLength(count)
  for (const { nextAttemptAt } of old) {
    const waitMs = Date.parse(nextAttemptAt ?? '') - Date.now()
    expect(waitMs).toBeGreaterThan(3 * minute)
    expect(waitMs).toBeLessThan(10 * minute + 6 * minute)
  }

  receiver.answers(200)
  worker.isAhead(17 * minute)
  await until(async () => {
    const delivered = await deliveriesOf(api, `&endpointId=${endpoint.id}&status=DELIVERED`)
    return delivered.length === count + 1
  }, 30_000)
  const outcomes = await world.query<{ outcome: string; count: number }>(
    'select outcome, count(*)::int as count from attempt group by outcome order by outcome',
  )
  // Nobody took the worker for dead: no attempt is on record that nobody made.
  expect(outcomes).toEqual([
    { outcome: 'DELIVERED', count: count + 1 },
    { outcome: 'REFUSED', count: 2 * count + 1 },
  ])
})

test('a worker whose clock is ten minutes behind delivers what happens now, and at once', async () => {
  const world = await aWorld(['api'])
  const api = await world.newTenant()
  const receiver = await aReceiver()
  await anEndpoint(api, receiver.url)
  aWorkerWithItsClock(world).isAhead(-10 * minute)
  const ids = await createClients(api, 8)
  await until(() => receiver.requests.length === ids.length)
  const told = receiver.requests.map(({ body }) => JSON.parse(String(body)).data.id)
  expect(told.sort()).toEqual(ids.sort())
})

test('a clock that is set back over midnight writes into yesterday, and all of it is told', async () => {
  const world = await aWorld(['api', 'worker'])
  world.step(-(Date.now() % day) + 5 * minute)
  const api = await world.newTenant()
  const receiver = await aReceiver()
  await anEndpoint(api, receiver.url)
  const today = await createClients(api, 2)
  // What was due already would wait until it is due again.
  await until(() => receiver.requests.length === 2)
  world.step(-10 * minute)
  const yesterday = await createClients(api, 2)
  await until(() => receiver.requests.length === 4)
  const told = receiver.requests.map(({ body }) => JSON.parse(String(body)).data.id)
  expect(told.sort()).toEqual([...today, ...yesterday].sort())
  const days = await world.query('select distinct created_on from event')
  expect(days.length).toBeGreaterThanOrEqual(2)
})
