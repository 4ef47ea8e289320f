import { afterAll, beforeAll, expect, test } from 'vitest'
import { eraseLock } from '#retention/hold.ts'
import { sweepOldRows } from '#retention/sweep.task.ts'
import { chainAll, verify } from '../audit/fixture.ts'
import { connectAs, databaseUrlOf } from '../db/fixture.ts'
import { tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { anEndpoint } from '../webhooks/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import {
  anOldCall,
  anOldDelivery,
  anOldEntry,
  anOldEvent,
  countOf,
  dayAgo,
  hasDay,
  holdPathOf,
  idAgo,
  noonAgo,
} from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const policyPath = '/api/v1/retention-policy'
const reason = 'Claim 114: all correspondence'

async function hold(api: Api): Promise<string> {
  const path = await holdPathOf(world, api)
  const { status, body } = await world.operator.patch(path, { reason })
  if (status !== 200) throw new Error(JSON.stringify(body))
  return path
}

/** Everything that a tenant can have that is too old, by table and age in days. */
const old = { event: 92, webhook_delivery: 32, attempt: 32, request_log: 32, audit: 402 }

async function aPast(api: Api): Promise<void> {
  const { id: endpointId } = await anEndpoint(api, 'http://127.0.0.1:1099/hook')
  const eventId = await anOldEvent(world, api, old.event)
  await anOldDelivery(world, api, old.attempt, { endpointId, eventId, eventDays: old.event })
  await anOldCall(world, api, old.request_log)
  await anOldEntry(world, api, old.audit)
  await chainAll(world)
}

async function aJob(api: Api): Promise<string> {
  const id = idAgo('job', 20)
  await world.query(
    `insert into job (tenant_id, id, task, payload, status, priority, due_at, attempt_count,
       actor_type, actor_id, correlation_id, created_at, finished_at)
     values ($1, $2, 'A', '{}', 'SUCCEEDED', 2, $3, 1, 'SYSTEM', 'then', 'then', $3, $3)`,
    [await tenantOf(api), id, noonAgo(20)],
  )
  return id
}

test('an operator places and lifts a hold; both houses know who did it, and the tenant sees it', async () => {
  const api = await world.newTenant()
  const path = await holdPathOf(world, api)
  const first = await world.operator.get(path)
  expect(first.body).toEqual({ reason: null, placedAt: null, revision: 1 })
  const policy = await api.get(policyPath)

  const placed = await world.operator.patch(path, { reason }, { 'if-match': '"1"' })
  expect(placed.body).toEqual({ reason, placedAt: expect.any(String), revision: 2 })
  refusedWith(
    await world.operator.patch(path, { reason: null }, { 'if-match': '"1"' }),
    'precondition_failed',
  )
  const seen = { 'if-none-match': policy.headers.get('etag') ?? '' }
  const held = await api.get(policyPath, seen)
  expect(held).toMatchObject({ status: 200, body: { heldSince: placed.body.placedAt } })

  const again = await world.operator.patch(path, { reason: 'Another' })
  expect(again.body).toMatchObject({ reason: 'Another', placedAt: placed.body.placedAt })
  const lifted = await world.operator.patch(path, { reason: null })
  expect(lifted.body).toEqual({ reason: null, placedAt: null, revision: 4 })
  expect((await api.get(policyPath)).body).toMatchObject({ heldSince: null, revision: 4 })

  const entries = await world.query<{ actor_type: string; house: boolean }>(
    `select actor_type, tenant_id = $1 as house from audit
     where action = 'tenant.hold_updated' and resource_id = $1`,
    [await tenantOf(api)],
  )
  expect(entries.map(({ house }) => house).sort()).toEqual([false, false, false, true, true, true])
  expect(new Set(entries.map(({ actor_type }) => actor_type))).toEqual(new Set(['OPERATOR']))
})

test('no tenant holds or frees itself, and no operator a tenant of another organization', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const path = await holdPathOf(world, api)
  refusedWith(await api.patch(path, { reason }), 'insufficient_scope')
  const elsewhere = path.replace(/ten_\w+/, await tenantOf(other))
  refusedWith(await world.operator.patch(elsewhere, { reason }), 'not_found')
})

test('of a tenant under a hold nothing is lost, of its neighbours in the same days everything', async () => {
  const [held, other] = [await world.newTenant(), await world.newTenant()]
  for (const api of [held, other]) {
    await aPast(api)
    await api.patch(policyPath, { eventPayloadDays: 1, deliveryPayloadDays: 1, jobsDays: 1 })
    await anOldEvent(world, api, 5)
    await aJob(api)
    const { body } = await api.post('/api/v1/clients', { name: 'Ada', currency: 'EUR' })
    await api.delete(`/api/v1/clients/${body.id}`)
    await world.query('update client set deleted_at = $2 where id = $1', [body.id, noonAgo(40)])
  }
  const path = await hold(held)
  await sweepOldRows(world.ctx)

  const tenants = [await tenantOf(held), await tenantOf(other)]
  const perTenant = async (text: string) => {
    const rows = await world.query<{ tenant_id: string; count: number }>(
      `${text} group by tenant_id`,
    )
    return tenants.map((id) => rows.find((row) => row.tenant_id === id)?.count ?? 0)
  }
  for (const [table, days] of Object.entries(old)) {
    expect(await hasDay(world, table, days), `the day of ${table}`).toBe(true)
    const counts = [
      await countOf(world, table, held, days),
      await countOf(world, table, other, days),
    ]
    expect(counts, table).toEqual([1, 0])
  }
  const oldPlaces = `select tenant_id, count(*)::int from event_position
    where created_on = '${dayAgo(old.event)}'`
  expect(await perTenant(oldPlaces)).toEqual([1, 0])
  const bodies = `select tenant_id, count(body)::int as count from event
    where created_on = '${dayAgo(5)}'`
  expect(await perTenant(bodies)).toEqual([1, 0])
  expect(await perTenant('select tenant_id, count(*)::int from job')).toEqual([1, 0])
  const names = `select tenant_id, count(*)::int from client where name = 'Ada'`
  expect(await perTenant(names)).toEqual([1, 0])
  expect((await verify(world)).damages).toEqual([])

  await world.operator.patch(path, { reason: null })
  await sweepOldRows(world.ctx)
  for (const [table, days] of Object.entries(old)) {
    expect(await hasDay(world, table, days), `the day of ${table}, lifted`).toBe(false)
  }
  expect(await perTenant('select tenant_id, count(*)::int from job')).toEqual([0, 0])
  expect(await perTenant(bodies)).toEqual([0, 0])
  expect((await verify(world)).damages).toEqual([])
})

test('a hold is answered only once nobody is in the middle of erasing', async () => {
  const api = await world.newTenant()
  const path = await holdPathOf(world, api)
  const eraser = await connectAs(databaseUrlOf(world), 'ubos_worker')
  await eraser.query('begin')
  await eraser.query('select pg_advisory_xact_lock_shared($1)', [eraseLock])
  let isAnswered = false
  const placing = world.operator.patch(path, { reason }).then((reply) => {
    isAnswered = true
    return reply
  })
  await until(async () => {
    const [row] = await world.query<{ waits: boolean }>(
      `select exists (select from pg_locks where locktype = 'advisory' and not granted
         and objid = $1) as waits`,
      [eraseLock],
    )
    return row?.waits ?? false
  })
  expect(isAnswered).toBe(false)
  await eraser.query('commit')
  expect((await placing).status).toBe(200)
  await eraser.end()
})
