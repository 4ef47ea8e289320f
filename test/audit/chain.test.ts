import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { record } from '#audit/record.ts'
import type { DatabaseRole } from '#db/pool.ts'
import { transact } from '#db/transact.ts'
import { systemCause } from '#http/operation.ts'
import type { TenantId } from '#ids.ts'
import { connectAs, databaseUrlOf, killConnections } from '../db/fixture.ts'
import { tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { createClients } from '../webhooks/fixture.ts'
import { startWorld, type World } from '../world.ts'
import { aChainer, chainAll, isChained, verify } from './fixture.ts'

// Chainers run when a test starts them: two at once, or none while entries pile up.
let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

async function chainOf(tenant: string): Promise<{ position: number; audit_id: string }[]> {
  return await world.query(
    'select position::int, audit_id from audit_chain where tenant_id = $1 order by position',
    [tenant],
  )
}

async function auditOf(tenant: string): Promise<string[]> {
  const rows = await world.query<{ id: string }>('select id from audit where tenant_id = $1', [
    tenant,
  ])
  return rows.map(({ id }) => id)
}

/** Records so many entries in one transaction. */
async function recordAtOnce(
  tenant: TenantId,
  count: number,
  beforeCommit: () => Promise<unknown> = async () => undefined,
): Promise<void> {
  const cause = systemCause(world.ctx, 'test')
  await transact(world.ctx, tenant, async (tx) => {
    for (let n = 0; n < count; n += 1) record(tx, cause, 'test.done', `tst_${n}`, { after: { n } })
    await beforeCommit()
  })
}

test('under writers and two chainers each entry is chained once, without a gap, and verifies meanwhile', async () => {
  const callers = [await world.newTenant(), await world.newTenant(), await world.newTenant()]
  aChainer(world)
  aChainer(world)
  const writing = Promise.all(callers.map((api) => createClients(api, 40)))
  let looks = 0
  let isWritten = false
  const looking = (async () => {
    for (; !isWritten; looks += 1) expect((await verify(world)).damages).toEqual([])
  })()
  await writing
  isWritten = true
  await looking
  await until(() => isChained(world))
  expect(looks).toBeGreaterThan(0)
  for (const api of callers) {
    const tenant = await tenantOf(api)
    const chain = await chainOf(tenant)
    expect(chain.map(({ position }) => position)).toEqual(chain.map((_, at) => at + 1))
    expect(chain.map(({ audit_id }) => audit_id).sort()).toEqual((await auditOf(tenant)).sort())
    expect(chain.length).toBeGreaterThan(40)
  }
  const { damages, counted } = await verify(world)
  expect(damages).toEqual([])
  expect(counted.pending).toBe(0)
})

test('an entry that commits late is chained behind those that overtook it, and is not forgotten', async () => {
  const tenant = await tenantOf(await world.newTenant())
  aChainer(world)
  let commit: () => void = () => undefined
  const isAllowed = new Promise<void>((resolve) => {
    commit = resolve
  })
  const late = recordAtOnce(tenant, 1, () => isAllowed)
  await recordAtOnce(tenant, 20)
  await until(() => isChained(world))
  const before = await chainOf(tenant)
  commit()
  await late
  await until(async () => (await chainOf(tenant)).length === before.length + 1)
  const [lateId] = (await chainOf(tenant)).slice(-1).map(({ audit_id }) => audit_id)
  expect(before.every(({ audit_id }) => audit_id !== lateId)).toBe(true)
  expect((await verify(world)).damages).toEqual([])
})

test('what was committed before every chainer died is chained by the next one', async () => {
  const tenant = await tenantOf(await world.newTenant())
  await recordAtOnce(tenant, 1_200)
  expect(await isChained(world)).toBe(false)
  const waiting = await verify(world)
  expect(waiting.damages).toEqual([])
  expect(waiting.counted.pending).toBeGreaterThanOrEqual(1_200)
  aChainer(world)
  await until(async () => (await chainOf(tenant)).length >= 500)
  for (let kill = 0; kill < 5; kill += 1) {
    await killConnections(world, "application_name = 'ubos_worker'")
    await recordAtOnce(tenant, 50)
  }
  await until(() => isChained(world), 15_000)
  expect(await chainOf(tenant)).toHaveLength((await auditOf(tenant)).length)
  expect((await verify(world)).damages).toEqual([])
})

test('a chain whose turn another process holds, or that is damaged, does not hold up the others', async () => {
  const [held, damaged, free] = await Promise.all(
    [1, 2, 3].map(async () => tenantOf(await world.newTenant())),
  )
  if (!held || !damaged || !free) throw new Error('three')
  await chainAll(world)
  await world.query('update audit_head set position = position - 1 where tenant_id = $1', [damaged])
  const asleep = await world.ctx.db.worker.connect()
  await asleep.query('begin')
  await asleep.query('select from audit_head where tenant_id = $1 for update', [held])
  aChainer(world)
  for (const tenant of [held, damaged, free]) await recordAtOnce(tenant, 5)
  const pendingOf = async (tenant: string) =>
    (await world.query('select from audit_pending where tenant_id = $1', [tenant])).length
  await until(async () => (await pendingOf(free)) === 0)
  expect([await pendingOf(held), await pendingOf(damaged)]).toEqual([5, 5])
  await asleep.query('rollback')
  asleep.release()
  await until(async () => (await pendingOf(held)) === 0)
  await world.query('update audit_head set position = position + 1 where tenant_id = $1', [damaged])
  await until(() => isChained(world))
  expect((await verify(world)).damages).toEqual([])
})

const changes = [
  "update audit set action = 'x.y'",
  'delete from audit',
  'truncate audit',
  'update audit_chain set form = 2',
  'delete from audit_chain',
  'truncate audit_chain',
  'update audit_anchor set number = 2',
  'delete from audit_anchor',
  'drop table audit',
  'alter table audit disable row level security',
]

test.for(['ubos_api', 'ubos_worker'] as const)(
  'no process can change or remove what is audited, chained or anchored, as %s',
  async (role: DatabaseRole) => {
    const [partition] = await world.query<{ name: string }>(
      "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'audit'::regclass limit 1",
    )
    const client = await connectAs(databaseUrlOf(world), role)
    const onPartition = ['update', 'delete', 'truncate', 'insert', 'select'].map(
      (verb) =>
        ({
          update: `update ${partition?.name} set action = 'x.y'`,
          delete: `delete from ${partition?.name}`,
          truncate: `truncate ${partition?.name}`,
          insert: `insert into ${partition?.name} select * from audit`,
          select: `select from ${partition?.name}`,
        })[verb] ?? '',
    )
    for (const statement of [...changes, ...onPartition]) {
      await client.query('begin')
      await client.query("set local ubos.tenant_id = 'ten_00000000000000000000000000'")
      const refused = await client.query(statement).catch((error: unknown) => error)
      await client.query('rollback')
      expect(refused, statement).toBeInstanceOf(pg.DatabaseError)
      expect((refused as pg.DatabaseError).code, statement).toBe('42501')
    }
    await client.end()
  },
)

test('a request sees neither chains nor the heads that anchors name', async () => {
  const client = await connectAs(databaseUrlOf(world), 'ubos_api')
  for (const statement of [
    'select from audit_chain',
    'select from audit_head',
    'select audit_id from audit_pending',
    'delete from audit_pending',
    'select heads from audit_anchor',
    'insert into audit_chain select',
  ]) {
    const refused = await client.query(statement).catch((error: unknown) => error)
    expect(refused, statement).toBeInstanceOf(pg.DatabaseError)
  }
  await client.end()
})
