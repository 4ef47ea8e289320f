import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { findClient } from '#clients/client.sql.ts'
import { build } from '#db/database.ts'
import { createReaders, fenceOf, type Readers } from '#db/readers.ts'
import { isConnectionLoss } from '#db/transact.ts'
import { type TenantId, tenantId } from '#ids.ts'
import { createLog } from '#log.ts'
import { cloneDatabase } from '../world.ts'
import { killConnections, until } from './fixture.ts'

const tenant = tenantId(`ten_${'1'.repeat(26)}`)
const other = tenantId(`ten_${'2'.repeat(26)}`)
const id = `cli_${'1'.repeat(26)}`
const count = 3

let database: Awaited<ReturnType<typeof cloneDatabase>>
let readers: Readers
beforeAll(async () => {
  database = await cloneDatabase()
  await database.query(
    `insert into client (tenant_id, id, name, currency, metadata, revision, created_at, updated_at)
     values ($1, $2, 'Read me', 'EUR', '{}', 1, now(), now())`,
    [tenant, id],
  )
})
afterAll(() => database.drop())
beforeEach(() => {
  readers = createReaders(database.url, count, createLog('silent'))
})
afterEach(() => readers.close())

const isReader = "application_name = 'ubos_api'"
const find = (of: TenantId = tenant) => findClient(readers.of(of), tenant, id)
const many = <Found>(length: number, ask: () => Promise<Found>) => Array.from({ length }, ask)

async function connections(): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity
     where datname = current_database() and ${isReader}`,
  )
  return row?.n ?? -1
}

test('a read sees the rows of its own tenant, and outside any tenant there is an error', async () => {
  expect(await find()).toMatchObject({ name: 'Read me' })
  expect(await find(other)).toBeUndefined()
  const outside = many(6, () => readers.query('select * from client', []).catch((error) => error))
  for (const { code } of await Promise.all(outside)) expect(code).toMatch(/42704|22012/)
})

test('a thousand reads of two tenants at once each see their own', async () => {
  const [ours, theirs] = await Promise.all([
    Promise.all(many(500, () => find())),
    Promise.all(many(500, () => find(other))),
  ])
  expect(ours.filter((row) => row?.id === id)).toHaveLength(500)
  expect(theirs.filter((row) => row !== undefined)).toHaveLength(0)
  expect(await connections()).toBe(count)
})

test('a read cannot write', async () => {
  const write = readers.of(tenant).deleteFrom('client').execute()
  await expect(write).rejects.toMatchObject({ code: '25006' })
  const sneaky = sql`update client set name = 'x'`.compile(build)
  await expect(readers.of(tenant).executeQuery(sneaky)).rejects.toMatchObject({ code: '25006' })
})

test('a read that fails does not disturb those beside it on the same connection', async () => {
  const bad = () => readers.query('select 1 / 0', []).catch((error) => error)
  const answers = await Promise.all(many(30, () => find()).flatMap((good) => [good, bad()]))
  expect(answers.filter((answer) => answer?.name === 'Read me')).toHaveLength(30)
  expect(answers.filter((answer) => answer?.code === '22012')).toHaveLength(30)
})

test('what is slow is ended by the time-out of the role, and the reads behind it are answered', async () => {
  const one = createReaders(database.url, 1, createLog('silent'))
  await database.query("alter role ubos set statement_timeout = '10min'")
  const limit = await one.query<{ statement_timeout: string }>('show statement_timeout', [])
  await database.query('alter role ubos reset statement_timeout')
  expect(limit).toEqual([{ statement_timeout: '5s' }])

  const slow = one.query("select set_config('statement_timeout', '50', false)", [])
  const late = one.query('select pg_sleep(10)', []).catch((error) => error)
  const behind = findClient(one.of(tenant), tenant, id)
  await slow
  expect(await late).toMatchObject({ code: '57014' })
  expect(await behind).toMatchObject({ name: 'Read me' })
  await one.close()
})

test('reads go on after their connections were ended, again and again, on no more connections than before', async () => {
  for (let round = 0; round < 10; round += 1) {
    const under = many(30, () => find().catch((error: Error) => error))
    await killConnections(database, isReader)
    for (const answer of await Promise.all(under)) {
      if (answer instanceof Error) expect(isConnectionLoss(answer), String(answer)).toBe(true)
      else expect(answer).toMatchObject({ name: 'Read me' })
    }
    await until(() => find().catch(() => undefined))
  }
  expect(await Promise.all(many(9, () => find()))).toHaveLength(9)
  await until(async () => (await connections()) <= count)
})

test('while the server refuses connections reads fail, and when it takes them again they succeed', async () => {
  // Of this database alone: the role is everybody's.
  const [{ name } = { name: '' }] = await database.query<{ name: string }>(
    'select current_database() as name',
  )
  await database.query(`revoke connect on database ${name} from public`)
  await expect(find()).rejects.toMatchObject({ code: '42501' })
  await database.query(`grant connect on database ${name} to public`)
  expect(await find()).toMatchObject({ name: 'Read me' })
})

test('when thousands of reads wait, more are refused at once and those that wait are answered', async () => {
  const slow = Promise.all(many(count, () => readers.query('select pg_sleep(0.2)', [])))
  const waiting = many(5_000, () => readers.query('select 1 as one', []).catch((error) => error))
  const answers = await Promise.all(waiting)
  await slow
  const refused = answers.filter((answer) => answer.code === 'overloaded')
  expect(refused.length).toBeGreaterThan(1_000)
  expect(answers.length - refused.length).toBeGreaterThan(1_000)
  expect(answers.every((answer) => answer.code === 'overloaded' || answer[0]?.one === 1)).toBe(true)
})

test.for([
  '',
  'ten_',
  `ten_${'1'.repeat(25)}`,
  `ten_${'1'.repeat(27)}`,
  `TEN_${'1'.repeat(26)}`,
  `ten_${'1'.repeat(25)}'`,
  `ten_${'1'.repeat(26)}'; drop table client; --`,
  `ten_${'1'.repeat(26)}\n`,
])('%j does not become part of SQL', (text) => {
  expect(() => fenceOf(text as TenantId)).toThrow('not a tenant id')
  expect(() => tenantId(text)).toThrow('not a tenant id')
})
