import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startWorker } from '#app.ts'
import type { openDatabases } from '#db/open.ts'
import { startLossyProxy } from '../db/lossy-proxy.ts'
import { readFeed } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { contextOf, startWorld, type World } from '../world.ts'
import {
  anEndpoint,
  anotherWorker,
  aPatientReceiver,
  aReceiver,
  createClients,
  deliveriesOf,
} from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

test('however often the database drops the workers, every event is numbered and delivered', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  anotherWorker(world)
  let drops = 0
  let isCalm = false
  async function dropWorkers(): Promise<void> {
    while (!isCalm) {
      const dropped = await world.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'ubos_worker'`,
      )
      drops += dropped.length
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
  }
  const dropping = dropWorkers()
  const ids = await createClients(api, 300)
  await until(() => drops >= 20)
  isCalm = true
  await dropping

  const told = () =>
    new Set(receiver.requests.map(({ body }) => JSON.parse(String(body)).data.id as string))
  await until(() => told().size === 300, 15_000)
  expect([...told()].sort()).toEqual(ids.sort())
  await world.drain()
  const deliveries = await deliveriesOf(api, `&endpointId=${endpoint.id}`)
  expect(deliveries).toHaveLength(300)
  expect(deliveries.every(({ status }) => status === 'DELIVERED')).toBe(true)
  const { events } = await readFeed(api, '', '&limit=200')
  expect(events.map(({ position }) => position)).toEqual(events.map((_, at) => at + 1))
})

test('an outcome that the database refuses keeps no other from being recorded', async () => {
  const api = await world.newTenant()
  const receiver = await aPatientReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api, 6)
  await until(() => receiver.waiting.length === 6)
  // An attempt that nobody made stands where one of the six will be written.
  await world.query(
    `insert into attempt (tenant_id, id, created_on, delivery_id, number, started_at, duration_ms,
        outcome)
      select tenant_id, 'att_x', created_on, delivery_id, 1, now(), 0, 'DELIVERED'
      from delivery_due where endpoint_id = $1 order by delivery_id limit 1`,
    [endpoint.id],
  )
  for (let count = 0; count < 6; count += 1) receiver.answer(204)
  await until(async () => {
    const delivered = await deliveriesOf(api, `&endpointId=${endpoint.id}&status=DELIVERED`)
    return delivered.length === 5
  })
  await createClients(api)
  await until(() => receiver.waiting.length === 1)
  receiver.answer(204)
  await until(async () => {
    const delivered = await deliveriesOf(api, `&endpointId=${endpoint.id}&status=DELIVERED`)
    return delivered.length === 6
  })
  await world.query('delete from delivery_due where endpoint_id = $1', [endpoint.id])
})

test('what was claimed when the answer to the claim was lost is sent at once, not when its lease ends', async () => {
  const quiet = await startWorld({ parts: ['api'] })
  onTestFinished(() => quiet.stop())
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(quiet.api, receiver.url)
  await createClients(quiet.api, 3)
  const proxy = await startLossyProxy(quiet.ctx.db.url)
  // Only an answer that names the endpoint holds what was claimed for it.
  proxy.loseAfter('claim_deliveries', endpoint.id)
  const own = contextOf(quiet.ctx.config, quiet.ctx.clock, proxy.url)
  const worker = startWorker(own)
  onTestFinished(async () => {
    await worker.stop(1_000)
    await own.egress.close()
    await (own.db as ReturnType<typeof openDatabases>).close()
    proxy.stop()
  })
  await until(() => proxy.lost() === 1)
  // Its lease would last for a minute.
  await until(() => receiver.requests.length === 3, 30_000)
  await quiet.drain()
  const deliveries = await deliveriesOf(quiet.api, `&endpointId=${endpoint.id}`)
  expect(deliveries.map(({ attemptCount }) => attemptCount)).toEqual([1, 1, 1])
}, 60_000)
