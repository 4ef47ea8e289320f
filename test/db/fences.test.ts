import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tenantId } from '#ids.ts'
import { cloneDatabase } from '../world.ts'
import { connectAs } from './fixture.ts'

type Database = Awaited<ReturnType<typeof cloneDatabase>>

const ours = tenantId(`ten_${'1'.repeat(26)}`)
const theirs = tenantId(`ten_${'2'.repeat(26)}`)

let database: Database
let tables: string[]
let client: pg.Client
beforeAll(async () => {
  database = await cloneDatabase()
  tables = await tenantTables(database)
  for (const table of tables) {
    for (const tenant of [ours, theirs]) {
      const insert = await rowFor(table, tenant, 'one')
      await database.query(`begin; set local session_replication_role = replica; ${insert}; commit`)
    }
  }
  client = await connectAs(database.url, 'ubos_api')
})
afterAll(async () => {
  await client.end()
  await database.drop()
})

/** What the fence says, or the lack of a right: either way nothing of the other tenant is touched. */
const denied = '42501'

test('every table belongs to tenants, except those that say nothing about one', async () => {
  const rows = await database.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace
     and relkind in ('r', 'p') and not relispartition order by 1`,
  )
  const others = rows.map(({ name }) => name).filter((name) => !tables.includes(name))
  // An anchor names tenants in its heads, which no request can read (test/audit).
  expect(others).toEqual([
    'api_beat',
    'api_call_progress',
    'audit_anchor',
    'installation',
    'job_worker',
    'key_change',
    'key_change_head',
    'migration',
  ])
  expect(tables.length).toBeGreaterThan(15)
})

test('inside a tenant its own row can be seen, another tenant’s in no table', async () => {
  let seen = 0
  for (const table of tables) {
    const [own, all] = await inside(ours, [
      `select count(*)::int as n from ${table} where tenant_id = '${ours}'`,
      `select count(*)::int as n from ${table} where tenant_id <> '${ours}'`,
    ])
    if (own?.code === denied) continue
    expect(own?.rows, table).toEqual([{ n: 1 }])
    expect(all?.rows, table).toEqual([{ n: 0 }])
    seen += 1
  }
  expect(seen).toBeGreaterThan(12)
})

test('inside a tenant no row of another is changed, moved or deleted', async () => {
  for (const table of tables) {
    const [changed, moved, deleted] = await inside(ours, [
      `update ${table} set tenant_id = tenant_id where tenant_id = '${theirs}'`,
      `update ${table} set tenant_id = '${theirs}' where tenant_id = '${ours}'`,
      `delete from ${table} where tenant_id = '${theirs}'`,
    ])
    expect(changed?.code ?? changed?.count, `update ${table}`).toBeOneOf([0, denied])
    expect(moved?.code, `move in ${table}`).toBe(denied)
    expect(deleted?.code ?? deleted?.count, `delete from ${table}`).toBeOneOf([0, denied])
  }
})

test('inside a tenant a row can be written for it, for another in no table', async () => {
  let written = 0
  for (const table of tables) {
    const [foreign, own] = await inside(ours, [
      await rowFor(table, theirs, 'two'),
      await rowFor(table, ours, 'two'),
    ])
    expect(foreign?.code, `insert into ${table}`).toBe(denied)
    // The class of constraints: behind the fence, the row meets those that this test ignores.
    expect(own?.code ?? '23', table).toMatch(/^(23|42501)/)
    if (own?.code !== denied) written += 1
  }
  expect(written).toBeGreaterThan(12)
})

test('without a tenant every table refuses to be read or written, also on a used connection', async () => {
  const fresh = await connectAs(database.url, 'ubos_api')
  for (const [connection, missing] of [[fresh, '42704'] as const, [client, '22012'] as const]) {
    for (const table of tables) {
      const outcomes = await attempt(connection, 'begin', [
        `select * from ${table}`,
        `update ${table} set tenant_id = tenant_id`,
        `delete from ${table}`,
        await rowFor(table, ours, 'three'),
      ])
      for (const { code } of outcomes) expect(code, table).toBeOneOf([missing, denied])
      expect(
        outcomes.some(({ code }) => code === missing),
        table,
      ).toBe(true)
    }
  }
  await fresh.end()
})

test('partitions, the index of keys and the fences themselves cannot be reached past the fence', async () => {
  const partitions = await database.query<{ name: string }>(
    'select inhrelid::regclass::text as name from pg_inherits join pg_class on oid = inhrelid where relkind = $1',
    ['r'],
  )
  expect(partitions.length).toBeGreaterThan(30)
  const outcomes = await inside(ours, [
    ...partitions.map(({ name }) => `select * from ${name}`),
    'alter table client disable row level security',
    'drop policy tenant_fence on client',
    "select ubos_make_partitions('2030-01-01', 1)",
  ])
  for (const { code, text } of outcomes) expect(code, text).toBe(denied)
})

test('the login has no rights of its own', async () => {
  const bare = new pg.Client({ connectionString: database.url })
  await bare.connect()
  const outcomes = await attempt(
    bare,
    'begin',
    tables.map((table) => `select * from ${table}`),
  )
  expect(outcomes.map(({ code }) => code)).toEqual(tables.map(() => denied))
  await bare.end()
})

interface Outcome {
  text: string
  code?: string
  count?: number | null
  rows?: object[]
}

function inside(tenant: string, statements: string[]): Promise<Outcome[]> {
  return attempt(client, `begin; set local ubos.tenant_id = '${tenant}'`, statements)
}

/** Each statement in a transaction of its own that is rolled back. */
async function attempt(connection: pg.Client, opening: string, statements: string[]) {
  const outcomes: Outcome[] = []
  for (const text of statements) {
    await connection.query(opening)
    outcomes.push(
      await connection.query(text).then(
        ({ rowCount, rows }) => ({ text, count: rowCount, rows }),
        (error: pg.DatabaseError) => ({ text, code: String(error.code) }),
      ),
    )
    await connection.query('rollback')
  }
  return outcomes
}

async function tenantTables({ query }: Database): Promise<string[]> {
  const rows = await query<{ name: string }>(
    `select relname as name from pg_class
     join pg_attribute on attrelid = pg_class.oid and attname = 'tenant_id' and attnum > 0
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
     order by 1`,
  )
  return rows.map(({ name }) => name)
}

const sampleOf: Record<string, string> = {
  'double precision': '1',
  date: 'current_date',
  'timestamp with time zone': 'now()',
  integer: '1',
  smallint: '1',
  bigint: '1',
  'numeric(19,4)': '1',
  boolean: 'false',
  jsonb: "'{}'",
  'text[]': "'{}'",
  'integer[]': "'{}'",
  'timestamp with time zone[]': "'{}'",
}

/** An insert of a row into any table, made from its columns. */
async function rowFor(table: string, tenant: string, label: string): Promise<string> {
  const columns = await database.query<{ name: string; type: string }>(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attnotnull
       and attidentity = '' and attgenerated = ''`,
    [table],
  )
  const names = columns.map(({ name }) => name)
  const values = columns.map(({ name, type }) => {
    if (name === 'tenant_id') return `'${tenant}'`
    if (name === 'environment') return `'SANDBOX'`
    if (name === 'event_payload_days' || name === 'delivery_payload_days') return '30'
    if (table === 'service_account' && name === 'status') return `'ENABLED'`
    if (table === 'source_index' && name === 'source_id') return `'${tenant} ${label}'`
    if (name === 'keep_bodies') return `'NONE'`
    if (name === 'state') return `'DEGRADED'`
    if (type === 'bytea') return `'${tenant} ${label}'::bytea`
    return sampleOf[type] ?? `'${label}'`
  })
  return `insert into ${table} (${names.join(', ')}) values (${values.join(', ')})`
}
