import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { record } from '#audit/record.ts'
import { insertClient, updateClient } from '#clients/client.sql.ts'
import { toClient } from '#clients/client.ts'
import { build } from '#db/database.ts'
import { openDatabases } from '#db/open.ts'
import { statement } from '#db/statement.ts'
import { type Tx, transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import type { TenantId } from '#ids.ts'
import { startWorld, type World } from '../world.ts'
import { databaseUrlOf, newRow, tenantOf } from './fixture.ts'

let world: World
let tenant: TenantId
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  tenant = await tenantOf(await world.newTenant())
})
afterAll(() => world.stop())

/** A statement of the test's own, that works out one expression. */
const working = (name: string, expression: string) =>
  statement(name, () => build.selectNoFrom(sql.raw(expression).as('value')))

/** What a test's transaction left behind, by the name of its client. */
async function leftBehind(name: string) {
  const [found] = await world.query(
    `select (select count(*)::int from client where name = $1) as clients,
      (select count(*)::int from event where convert_from(body, 'UTF8') like '%' || $1 || '%') as events,
      (select count(*)::int from audit where after ->> 'name' = $1) as audits`,
    [name],
  )
  return found
}
const nothing = { clients: 0, events: 0, audits: 0 }
const everything = { clients: 1, events: 1, audits: 1 }

/** Queues what a handler queues: a row, its audit entry and its event. */
function addClient(tx: Tx, name: string) {
  const client = newRow(world.ctx, name)
  const cause = systemCause(world.ctx, 'test')
  insertClient(tx, tx.tenantId, client)
  record(tx, cause, 'client.created', client.id, { after: toClient(client) })
  publish(tx, cause, 'client.created', toClient(client))
  return client
}

test('a row, its audit entry and its event are committed together', async () => {
  const name = 'All of it'
  await transact(world.ctx, tenant, async (tx) => addClient(tx, name))
  expect(await leftBehind(name)).toEqual(everything)
})

const failing = working('test_division', '1 / (select 0 from tenant limit 1)')

test('when a statement in the middle fails, nothing that was queued before or after it is there', async () => {
  const name = 'Broken in the middle'
  const work = transact(world.ctx, tenant, async (tx) => {
    addClient(tx, name)
    tx.queue(failing.bind({}))
    addClient(tx, name)
  })
  await expect(work).rejects.toMatchObject({ code: '22012' })
  expect(await leftBehind(name)).toEqual(nothing)
})

test('when the work throws after reading and queueing, nothing is there and the connection is free', async () => {
  const name = 'Thrown'
  const work = transact(world.ctx, tenant, async (tx) => {
    await tx.selectFrom('client').select('id').execute()
    addClient(tx, name)
    throw new Error('changed my mind')
  })
  await expect(work).rejects.toThrow('changed my mind')
  expect(await leftBehind(name)).toEqual(nothing)
  const { writers } = world.ctx.db
  expect(writers.totalCount - writers.idleCount).toBe(0)
})

test.for([
  ['undefined', undefined],
  ['not a number', Number.NaN],
  ['a function', () => 1],
  ['an object', { circular: true }],
  ['a symbol in a list', [Symbol('s')]],
] as const)(
  '%s cannot be bound, and stops before the first statement is sent',
  async ([, value]) => {
    const db = openDatabases(databaseUrlOf(world), world.ctx.log)
    const name = 'Unbindable'
    const work = transact({ ...world.ctx, db }, tenant, async (tx) => {
      addClient(tx, name)
      insertClient(tx, tenant, { ...newRow(world.ctx, name), phone: value as unknown as string })
    })
    await expect(work).rejects.toThrow(/cannot be bound/)
    expect(db.writers.totalCount).toBe(0)
    expect(await leftBehind(name)).toEqual(nothing)
    await db.close()
  },
)

test('an event that breaks its contract takes the rest of the transaction with it', async () => {
  const name = 'Bad event'
  const work = transact(world.ctx, tenant, async (tx) => {
    const client = addClient(tx, name)
    const view = { ...toClient(client), currency: 'euros' }
    publish(tx, systemCause(world.ctx, 'test'), 'client.created', view)
  })
  await expect(work).rejects.toThrow(/client.created\/data\/currency/)
  expect(await leftBehind(name)).toEqual(nothing)
})

test('a change of a revision that is no longer the last one is a conflict and leaves nothing', async () => {
  const name = 'Twice changed'
  const client = await transact(world.ctx, tenant, async (tx) => addClient(tx, 'Once'))
  const next = { ...client, name: 'Changed', revision: 2 }
  await transact(world.ctx, tenant, async (tx) => updateClient(tx, tenant, next))

  const stale = transact(world.ctx, tenant, async (tx) => {
    addClient(tx, name)
    updateClient(tx, tenant, { ...client, name: 'Lost', revision: 2 })
  })
  await expect(stale).rejects.toMatchObject({ code: 'UB001', message: 'conflict' })
  expect(await leftBehind(name)).toEqual(nothing)
  expect(await leftBehind('Lost')).toEqual(nothing)
})

test('a serialisation failure runs the whole of the work again, and its effect is there once', async () => {
  await world.query(`
    create sequence test_attempts;
    grant usage on sequence test_attempts to ubos_api;
    create function test_fail_twice() returns integer language plpgsql as $$ begin
      if nextval('test_attempts') <= 2 then raise exception using errcode = '40001'; end if;
      return 1; end $$`)
  const flaky = working('test_fail_twice', 'test_fail_twice()')
  const name = 'Third time lucky'
  let runs = 0
  await transact(world.ctx, tenant, async (tx) => {
    runs += 1
    addClient(tx, name)
    tx.queue(flaky.bind({}))
  })
  expect(runs).toBe(3)
  expect(await leftBehind(name)).toEqual(everything)
})

test('of two transactions in a deadlock one is run again, and both take effect', async () => {
  const [first, second] = await transact(world.ctx, tenant, async (tx) => [
    addClient(tx, 'Left'),
    addClient(tx, 'Right'),
  ])
  if (!first || !second) throw new Error('two were made')
  const lock = (tx: Tx, id: string) =>
    tx.selectFrom('client').select('id').where('id', '=', id).forUpdate().execute()
  const bothHold = meeting(2)
  let runs = 0
  const cross = (name: string, ids: [string, string]) =>
    transact(world.ctx, tenant, async (tx) => {
      runs += 1
      await lock(tx, ids[0])
      await bothHold()
      await lock(tx, ids[1])
      addClient(tx, name)
    })
  await Promise.all([
    cross('Deadlock one', [first.id, second.id]),
    cross('Deadlock two', [second.id, first.id]),
  ])
  expect(runs).toBe(3)
  expect(await leftBehind('Deadlock one')).toEqual(everything)
  expect(await leftBehind('Deadlock two')).toEqual(everything)
})

test('reads that are asked for at once share the transaction’s one connection', async () => {
  const db = openDatabases(databaseUrlOf(world), world.ctx.log)
  await transact({ ...world.ctx, db }, tenant, async (tx) => {
    const ask = () =>
      tx.executeQuery(sql<{ pid: number }>`select pg_backend_pid() as pid`.compile(build))
    const pids = await Promise.all([ask(), ask(), ask()])
    expect(new Set(pids.map(({ rows }) => rows[0]?.pid)).size).toBe(1)
    expect(db.writers.totalCount).toBe(1)
  })
  expect(db.writers.idleCount).toBe(1)
  await db.close()
})

/** Resolves for everybody once so many have come. */
function meeting(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let come = 0
  return () => {
    come += 1
    if (come === count) resolve()
    return promise
  }
}
