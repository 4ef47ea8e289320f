import { afterAll, beforeAll, expect, test } from 'vitest'
import { runSequencer } from '#events/sequencer.ts'
import type { TenantId } from '#ids.ts'
import type { Loop } from '#jobs/loop.ts'
import { reactions } from '#reactions.ts'
import { type ClaimRequest, claimDeliveries, noLane } from '#webhooks/claim.sql.ts'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { startWorld, type World } from '../world.ts'
import { type AnEndpoint, anEndpoint } from './fixture.ts'

// A sequencer runs, but no dispatcher: what is claimed is what the test asked for.
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

/** A tenant with so many endpoints, each with so many deliveries that are due. */
async function aBacklog(endpointCount: number, deliveryCount: number) {
  const api = await world.newTenant()
  const [tenant, client] = [await tenantOf(api), await aClient(api)]
  await isSequenced()
  const endpoints: AnEndpoint[] = []
  for (let count = 0; count < endpointCount; count += 1) {
    endpoints.push(await anEndpoint(api, 'https://hooks.example.com/'))
  }
  await publishAtOnce(world, tenant, client, deliveryCount)
  await isSequenced()
  return { tenant, endpoints }
}

const isSequenced = () =>
  until(async () => {
    const [row] = await world.query('select from event_pending limit 1')
    return row === undefined
  })

/** One claim, on clean tables but for `keep`. */
function claim(request: Partial<ClaimRequest> = {}, pool = world.ctx.db.worker) {
  return claimDeliveries(pool, {
    ...{ token: '1.test', limit: 100, endpointInFlightMax: 10, tenantRoom: 100, slow: [] },
    ...{ tenantRooms: new Map(), leaseMs: 60_000, now: world.ctx.clock.now(), after: noLane },
    ...request,
  })
}

const forget = () => world.query('delete from delivery_due')

test('a claim goes from tenant to tenant, then from endpoint to endpoint, oldest first', async () => {
  await forget()
  const [big, small] = [await aBacklog(3, 20), await aBacklog(1, 2)]
  const { claimed } = await claim({ limit: 8 })
  const tenants = claimed.map(({ tenantId }) => (tenantId === big.tenant ? 'big' : 'small'))
  expect(tenants.slice(0, 4).sort()).toEqual(['big', 'big', 'small', 'small'])
  expect(tenants.filter((name) => name === 'big')).toHaveLength(6)
  const perEndpoint = Map.groupBy(
    claimed.filter(({ tenantId }) => tenantId === big.tenant),
    ({ endpointId }) => endpointId,
  )
  expect([...perEndpoint.values()].map((each) => each.length)).toEqual([2, 2, 2])
  for (const each of perEndpoint.values()) {
    const ids = each.map(({ deliveryId }) => deliveryId)
    expect(ids).toEqual(ids.toSorted())
    const [oldest] = await world.query<{ id: string }>(
      'select min(delivery_id) as id from delivery_due where endpoint_id = $1',
      [each[0]?.endpointId],
    )
    expect(ids[0]).toBe(oldest?.id)
  }
  expect(small.endpoints).toHaveLength(1)
})

test('a claim never exceeds what an endpoint, a tenant or the worker can bear', async () => {
  await forget()
  const { tenant } = await aBacklog(3, 20)
  expect((await claim({ limit: 4 })).claimed).toHaveLength(4)
  expect(
    (await claim({ tenantRoom: 7, tenantRooms: new Map([[tenant, 3]]) })).claimed,
  ).toHaveLength(3)
  expect((await claim()).claimed).toHaveLength(3 * 10 - 7)
  expect((await claim()).claimed).toEqual([])
  await world.query('update webhook_endpoint set in_flight_max = 11 where tenant_id = $1', [tenant])
  expect((await claim()).claimed, 'what none may exceed').toEqual([])
  expect((await claim({ endpointInFlightMax: 50 })).claimed).toHaveLength(3)
})

test('of an endpoint that hangs one at a time is claimed, of its neighbours as many as ever', async () => {
  await forget()
  const { tenant, endpoints } = await aBacklog(2, 20)
  const [hanging] = endpoints
  await world.query(
    `insert into webhook_endpoint_health (tenant_id, endpoint_id, state, since, in_flight_limit)
     values ($1, $2, 'DEGRADED', now(), 1)`,
    [tenant, hanging?.id],
  )
  const { claimed } = await claim()
  const ofHanging = claimed.filter(({ endpointId }) => endpointId === hanging?.id)
  expect([ofHanging.length, claimed.length]).toEqual([1, 11])
  expect(claimed.every((one) => one.isWatched === ofHanging.includes(one))).toBe(true)
  expect((await claim()).claimed, 'what is under way counts').toEqual([])
  await world.query('delete from webhook_endpoint_health where endpoint_id = $1', [hanging?.id])
  expect((await claim()).claimed, 'once it answers, it has its ten').toHaveLength(9)
})

test('a claim reads little more than it takes, also by a plan that was made when nothing waited', async () => {
  await forget()
  const { claims } = world.ctx.db
  expect((await claim({}, claims)).claimed).toEqual([])
  const { tenant } = await aBacklog(10, 300)
  await world.query(
    `update webhook_endpoint set ordering = 'RESOURCE'
     where tenant_id = $1 and id in (select id from webhook_endpoint where tenant_id = $1 limit 5)`,
    [tenant],
  )
  const readBefore = await rowsRead()
  expect((await claim({ limit: 10 }, claims)).claimed).toHaveLength(10)
  expect((await rowsRead()) - readBefore, 'of the 3,000 that wait').toBeLessThan(1_500)

  async function rowsRead(): Promise<number> {
    await claims.query('select pg_stat_force_next_flush()')
    const { rows } = await claims.query<{ read: number }>(
      `select (sum(idx_tup_read) + (select seq_tup_read from pg_stat_user_tables
         where relname = 'delivery_due'))::int as read
       from pg_stat_user_indexes where relname = 'delivery_due'`,
    )
    return rows[0]?.read ?? 0
  }
})

test.each(['open_until', 'paused_until'])(
  'before %s nothing of an endpoint is claimed, from then on all of it',
  async (until) => {
    await forget()
    const { tenant, endpoints } = await aBacklog(2, 3)
    const [shut] = endpoints
    const now = new Date()
    await world.query(
      `insert into webhook_endpoint_health (tenant_id, endpoint_id, state, since, ${until})
     values ($1, $2, 'PROBING', now(), $3)`,
      [tenant, shut?.id, new Date(now.getTime() + 60_000)],
    )
    const { claimed } = await claim({ now })
    expect(claimed).toHaveLength(3)
    expect(claimed.every(({ endpointId }) => endpointId !== shut?.id)).toBe(true)
    expect((await claim({ now: new Date(now.getTime() + 59_999) })).claimed).toEqual([])
    expect((await claim({ now: new Date(now.getTime() + 60_000) })).claimed).toHaveLength(3)
  },
)

test('a lease that ended is claimed anew, also where nothing else waits, and says when it ended', async () => {
  await forget()
  const { endpoints } = await aBacklog(1, 3)
  expect((await claim()).claimed).toHaveLength(3)
  expect((await claim()).claimed).toEqual([])
  await world.query(
    "update delivery_due set leased_until = clock_timestamp() - interval '1 second' where endpoint_id = $1",
    [endpoints[0]?.id],
  )
  const again = (await claim({ token: '2.test' })).claimed
  expect(again).toHaveLength(3)
  expect(again.every(({ interruptedAt }) => interruptedAt !== null)).toBe(true)
})

test('what two claim at the same moment is claimed once', async () => {
  await forget()
  await aBacklog(8, 5)
  const rounds = Array.from({ length: 6 }, (_, at) => claim({ limit: 10, token: `${at}.test` }))
  const claims = (await Promise.all(rounds)).flatMap(({ claimed }) => claimed)
  expect(claims).toHaveLength(40)
  expect(new Set(claims.map(({ deliveryId }) => deliveryId)).size).toBe(40)
})

test('what is not due, or belongs to a disabled endpoint, is not claimed', async () => {
  await forget()
  const { endpoints } = await aBacklog(2, 3)
  const [off, later] = endpoints
  await world.query("update webhook_endpoint set status = 'DISABLED' where id = $1", [off?.id])
  await world.query(
    "update delivery_due set due_at = now() + interval '1 minute' where endpoint_id = $1",
    [later?.id],
  )
  expect((await claim()).claimed).toEqual([])
  const inAMinute = new Date(world.ctx.clock.now().getTime() + 61_000)
  const { claimed } = await claim({ now: inAMinute })
  expect(new Set(claimed.map(({ endpointId }) => endpointId))).toEqual(new Set([later?.id]))
})

test('with more lanes than one claim looks at, claims go round and then come to rest', async () => {
  await forget()
  const { tenant, endpoints } = await aBacklog(1, 2)
  // Lanes of a tenant that sorts before ours; nothing in them is due for an hour.
  await world.query(
    `insert into delivery_due select 'ten_00000000000000000000000001', 'whe_' || n, 'whd_' || n,
        created_on, event_id, event_created_on, due_at + interval '1 hour', 0, 0
      from delivery_due, generate_series(10001, 11500) as n
      where delivery_id = (select min(delivery_id) from delivery_due)`,
  )
  const first = await claim()
  expect(first).toMatchObject({ claimed: [], after: { endpointId: 'whe_11000' } })
  const second = await claim({ after: first.after })
  expect(second.claimed.map(({ tenantId }): TenantId => tenantId)).toEqual([tenant, tenant])
  expect(second.after).toEqual(noLane)
  expect(endpoints).toHaveLength(1)
})
