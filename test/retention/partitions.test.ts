import { afterEach, beforeEach, expect, test } from 'vitest'
import { keepPartitionsAhead } from '#retention/sweep.task.ts'
import { anEndpoint, anotherWorker, aReceiver, createClients } from '../webhooks/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

/* The partition of tomorrow is missing, and tomorrow comes. */

const dayMs = 24 * 60 * 60 * 1_000

let world: World
let api: Api
beforeEach(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterEach(() => world.stop())

/** Drops every partition of the days to come. */
async function loseTheFuture(): Promise<void> {
  const rows = await world.query<{ name: string }>(
    `select child.relname as name from pg_inherits
     join pg_class as child on child.oid = inhrelid and child.relkind = 'r'
     where to_date(substring(child.relname from '_([0-9]{8})$'), 'YYYYMMDD') > (now() at time zone 'UTC')::date`,
  )
  for (const { name } of rows) await world.query(`drop table ${name}`)
}

const aheadOf = async () => {
  const { body } = await api.get('/readyz')
  return body.checks.find(({ name }: { name: string }) => name === 'partitions')
}

test('a write on a day that nobody made a partition for has it made, and is done as always', async () => {
  await loseTheFuture()
  expect(await aheadOf()).toMatchObject({ status: 'WARN', detail: 'Made for 0 days ahead.' })
  world.step(dayMs)
  const created = await api.post('/api/v1/clients', { name: 'Ada', currency: 'EUR' })
  expect(created.status).toBe(201)
  const { body } = await api.get('/api/v1/events?eventType=client.created')
  expect(body.data.map(({ data }: { data: { id: string } }) => data.id)).toEqual([created.body.id])
  // What was looked up is good for a second.
  await expect.poll(async () => (await aheadOf()).status, { timeout: 5_000 }).toBe('PASS')
})

test('while none can be made a write is refused as unavailable and leaves nothing, until it heals', async () => {
  await loseTheFuture()
  await world.query('revoke execute on function ubos_make_partitions from ubos_worker')
  world.step(dayMs)
  const key = { 'idempotency-key': 'the-one-key' }
  const write = () => api.post('/api/v1/clients', { name: 'Ada', currency: 'EUR' }, key)
  const refused = await write()
  refusedWith(refused, 'unavailable')
  expect(refused.headers.get('retry-after')).toBe('1')
  const halves = await world.query(
    `select from client union all select from idempotency union all
     select from event where type = 'client.created'`,
  )
  expect(halves).toEqual([])
  expect((await api.get('/api/v1/clients')).status).toBe(200)

  await world.query('grant execute on function ubos_make_partitions to ubos_worker')
  await keepPartitionsAhead(world.ctx)
  expect((await write()).status).toBe(201)
  expect((await api.get('/api/v1/clients')).body.data).toHaveLength(1)
})

test('what was acknowledged before midnight is delivered after it, partitions or none', async () => {
  const receiver = await aReceiver()
  await anEndpoint(api, receiver.url)
  await createClients(api, 3)
  await loseTheFuture()
  world.step(dayMs)
  const worker = anotherWorker(world)
  await world.drain()
  expect(receiver.requests).toHaveLength(3)
  await worker.stop()
})
