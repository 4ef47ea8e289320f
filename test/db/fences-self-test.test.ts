import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { urlOf } from '#db/login.ts'
import { FenceBroken, testFences } from '#db/self-test.ts'
import { cloneDatabase } from '../world.ts'

let database: Awaited<ReturnType<typeof cloneDatabase>>
beforeAll(async () => {
  database = await cloneDatabase()
})
afterAll(() => database.drop())

/** Runs `change` past the fences, tests them, and undoes it. */
async function verdictAfter(change: string, undo: string, url = database.url): Promise<unknown> {
  await database.query(change)
  try {
    return await testFences(url).then(
      () => 'no objection',
      (error: unknown) => error,
    )
  } finally {
    await database.query(undo)
  }
}

function refused(verdict: unknown, why: RegExp): void {
  expect(verdict).toBeInstanceOf(FenceBroken)
  expect(String(verdict)).toMatch(why)
}

test('an ordinary login inside whole fences may start', async () => {
  await testFences(database.url)
})

test('a process with a superuser’s login does not start', async () => {
  refused(await testFences(database.ownerUrl).catch((error: unknown) => error), /superuser/)
})

const logins = [
  ['that bypasses row-level security', 'bypassrls', '', /bypasses row-level security/],
  ['that owns a table', '', 'alter table client owner to $login', /owns tables/],
  ['that may act as the owner', '', 'grant postgres to $login', /superuser|owns tables/],
] as const

test.for(logins)('a process with a login %s does not start', async ([, option, more, why]) => {
  const name = `login_${randomBytes(6).toString('hex')}`
  const password = 'only-for-tests'
  const verdict = await verdictAfter(
    `create role ${name} login noinherit ${option} password '${password}';
     grant ubos_api, ubos_worker to ${name}; ${more.replace('$login', name)}`,
    `reassign owned by ${name} to postgres; drop role ${name}`,
    urlOf(database.ownerUrl, { name, password }),
  )
  refused(verdict, why)
})

const fence = `create policy tenant_fence on client for all to ubos_api
  using (tenant_id = ubos_tenant()) with check (tenant_id = ubos_tenant())`
const dropFence = 'drop policy tenant_fence on client'

const holes = [
  ['has no policy', dropFence, fence],
  [
    'lets everything be read',
    'alter policy tenant_fence on client using (true)',
    'alter policy tenant_fence on client using (tenant_id = ubos_tenant())',
  ],
  [
    'lets everything be written',
    'alter policy tenant_fence on client with check (true)',
    'alter policy tenant_fence on client with check (tenant_id = ubos_tenant())',
  ],
  [
    'has a second, wider policy',
    'create policy wider on client for select to ubos_api using (true)',
    'drop policy wider on client',
  ],
  [
    'has a policy for everybody',
    'create policy wider on client for all to public using (true)',
    'drop policy wider on client',
  ],
  [
    'is no longer forced',
    'alter table client no force row level security',
    'alter table client force row level security',
  ],
  [
    'is switched off',
    'alter table client disable row level security',
    'alter table client enable row level security',
  ],
] as const

test.for(holes)('where a table’s fence %s, no process starts', async ([, change, undo]) => {
  refused(await verdictAfter(change, undo), /no fence around client/)
  await testFences(database.url)
})

test('where the index of keys has no policy, no process starts', async () => {
  const verdict = await verdictAfter(
    'drop policy tenant_fence on key_index',
    fence.replaceAll('client', 'key_index'),
  )
  refused(verdict, /no fence around key_index/)
})

test('a table that was added without a fence lets no process start', async () => {
  const verdict = await verdictAfter('create table stray (tenant_id text)', 'drop table stray')
  refused(verdict, /no fence around stray/)
})

test('where a missing tenant no longer raises, no process starts', async () => {
  const body = (expression: string) =>
    `create or replace function ubos_tenant() returns text language sql stable parallel safe
     as $$ select ${expression} $$`
  const verdict = await verdictAfter(
    body("current_setting('ubos.tenant_id', true)"),
    body(`left(current_setting('ubos.tenant_id'),
      1000 / length(current_setting('ubos.tenant_id')))`),
  )
  refused(verdict, /missing tenant does not raise/)
  await testFences(database.url)
})
