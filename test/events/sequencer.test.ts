import { afterAll, beforeAll, expect, test } from 'vitest'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import { until } from '../jobs/until.ts'
import { anEndpoint, anotherWorker, aReceiver, createClients } from '../webhooks/fixture.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { aClient, type FeedEvent, publishAtOnce, readFeed, tenantOf } from './fixture.ts'

// Sequencers run when a test starts them: two at once, or none while events pile up.
let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const isSequenced = async () => {
  const [row] = await world.query('select from event_pending limit 1')
  return row === undefined
}

/** The positions of a tenant, and how often each is given. */
async function positionsOf(tenant: string): Promise<number[]> {
  const rows = await world.query<{ position: number }>(
    'select position::int from event_position where tenant_id = $1 order by position',
    [tenant],
  )
  return rows.map(({ position }) => position)
}

const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1)

/** Follows a feed until it has seen so many events of a type. */
async function follow(api: Api, type: string, count: number): Promise<FeedEvent[]> {
  const seen: FeedEvent[] = []
  let cursor = ''
  await until(async () => {
    const read = await readFeed(api, cursor, '&limit=7')
    seen.push(...read.events)
    cursor = read.cursor
    return seen.filter((event) => event.type === type).length >= count
  }, 15_000)
  return seen
}

test('under twenty writers and two sequencers positions are dense, and a reader misses nothing', async () => {
  const callers = [await world.newTenant(), await world.newTenant(), await world.newTenant()]
  anotherWorker(world)
  anotherWorker(world)
  const writing = callers.flatMap((api) => Array.from({ length: 7 }, () => createClients(api, 10)))
  const reading = callers.map((api) => follow(api, 'client.created', 70))
  const [created, ...feeds] = await Promise.all([Promise.all(writing), ...reading])
  await until(isSequenced)

  for (const [at, api] of callers.entries()) {
    const all = created.slice(at * 7, at * 7 + 7).flat()
    const feed = feeds[at] ?? []
    expect(feed.map(({ position }) => position)).toEqual(upTo(feed.length))
    const told = feed.filter(({ type }) => type === 'client.created')
    expect(new Set(told.map(({ id }) => id)).size).toBe(70)
    expect(all).toHaveLength(70)
    expect(await positionsOf(await tenantOf(api))).toEqual(upTo(feed.length))
  }
})

test('an event that commits late gets a later position, and a reader who was ahead sees it', async () => {
  const api = await world.newTenant()
  const [tenant, client] = [await tenantOf(api), await aClient(api)]
  anotherWorker(world)
  anotherWorker(world)
  await until(isSequenced)
  let commit: () => void = () => undefined
  const isAllowed = new Promise<void>((resolve) => {
    commit = resolve
  })
  const late = publishAtOnce(world, tenant, client, 1, () => isAllowed)
  const early = await publishAtOnce(world, tenant, client, 20)
  await until(isSequenced)
  const before = await readFeed(api)
  commit()
  const [lateId = ''] = await late
  await until(isSequenced)

  const after = await readFeed(api, before.cursor)
  expect(after.events.map(({ id }) => id)).toEqual([lateId])
  expect(early.every((id) => id > lateId)).toBe(true)
  expect(after.events[0]?.position).toBe((before.events.at(-1)?.position ?? 0) + 1)
})

test('what was rolled back never happened', async () => {
  const api = await world.newTenant()
  const [tenant, client] = [await tenantOf(api), await aClient(api)]
  const refused = publishAtOnce(world, tenant, client, 3, () => Promise.reject(new Error('no')))
  await expect(refused).rejects.toThrow('no')
  const unfit = transact(world.ctx, tenant, async (tx) => {
    publish(tx, systemCause(world.ctx, 'test'), 'client.created', client)
    publish(tx, systemCause(world.ctx, 'test'), 'client.created', { ...client, currency: 'pounds' })
  })
  await expect(unfit).rejects.toThrow('client.created/data/currency')
  anotherWorker(world)
  await publishAtOnce(world, tenant, client, 1)
  await until(isSequenced)
  const { events } = await readFeed(api, '', '&limit=50&eventType=client.created')
  expect(events).toHaveLength(2)
  const positions = await positionsOf(tenant)
  expect(positions).toEqual(upTo(positions.length))
})

test('a tenant with three thousand events waiting does not keep another one waiting', async () => {
  const [flooding, quiet] = [await world.newTenant(), await world.newTenant()]
  const [flood, calm] = [await tenantOf(flooding), await tenantOf(quiet)]
  const client = await aClient(flooding)
  for (let thousand = 0; thousand < 3; thousand += 1) {
    await publishAtOnce(world, flood, client, 1_000)
  }
  const [late = ''] = await publishAtOnce(world, calm, client, 1)
  anotherWorker(world)
  await until(isSequenced)

  const positions = await positionsOf(flood)
  expect(positions).toEqual(upTo(positions.length))
  expect(positions.length).toBeGreaterThan(3_000)
  // One pass is one transaction: how many of the flood were numbered in later ones than the late.
  const [behind] = await world.query<{ count: number }>(
    `select count(*)::int from event_position where tenant_id = $1 and xmin::text::bigint > (
      select xmin::text::bigint from event_position where event_id = $2)`,
    [flood, late],
  )
  expect(behind?.count).toBeGreaterThan(2_000)
  const [largest] = await world.query<{ count: number }>(
    `select count(*)::int from event_position group by xmin::text order by 1 desc limit 1`,
  )
  expect(largest?.count).toBeLessThanOrEqual(500)
})

test('no pass makes more than a thousand deliveries, so that nobody waits long for his turn', async () => {
  const [noisy, other] = [await world.newTenant(), await world.newTenant()]
  const { url } = await aReceiver()
  const { id } = await anEndpoint(noisy, url)
  await noisy.patch(`/api/v1/webhook-endpoints/${id}`, { status: 'DISABLED' })
  const tenant = await tenantOf(noisy)
  await world.query(
    `insert into webhook_endpoint select (jsonb_populate_record(endpoint,
        jsonb_build_object('id', endpoint.id || n))).*
      from webhook_endpoint as endpoint, generate_series(1, 99) as n where endpoint.id = $1`,
    [id],
  )
  const client = await aClient(noisy)
  await publishAtOnce(world, tenant, client, 60)
  await publishAtOnce(world, await tenantOf(other), client, 60)
  anotherWorker(world)
  await until(isSequenced)
  const passes = await world.query<{ count: number }>(
    `select count(*)::int from webhook_delivery where tenant_id = $1 and event_type = $2
      group by xmin::text`,
    [tenant, 'client.created'],
  )
  expect(passes.reduce((sum, { count }) => sum + count, 0)).toBe(61 * 100)
  expect(Math.max(...passes.map(({ count }) => count))).toBeLessThanOrEqual(1_000)
})

test('a sequencer that stands still with a turn in its hand holds up that tenant only', async () => {
  const [held, free] = [await world.newTenant(), await world.newTenant()]
  const [heldTenant, freeTenant] = [await tenantOf(held), await tenantOf(free)]
  const client = await aClient(held)
  anotherWorker(world)
  await until(isSequenced)
  const asleep = await world.ctx.db.worker.connect()
  await asleep.query('begin')
  await asleep.query('select from stream_head where tenant_id = $1 for update', [heldTenant])
  await publishAtOnce(world, heldTenant, client, 5)
  await publishAtOnce(world, freeTenant, client, 5)
  await until(async () => (await readFeed(free)).events.length >= 5, 3_000)
  const [waiting] = await world.query<{ count: number }>(
    'select count(*)::int from event_pending where tenant_id = $1',
    [heldTenant],
  )
  expect(waiting?.count).toBe(5)
  await asleep.query('rollback')
  asleep.release()
  await until(isSequenced)
})
