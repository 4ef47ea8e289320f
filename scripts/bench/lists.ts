import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type ClientFilter, pageClients } from '../../src/clients/client.sql.ts'
import { startPostgres } from '../../src/db/at-hand/postgres.ts'
import { urlOf } from '../../src/db/login.ts'
import { ensureDatabase, migrate } from '../../src/db/migrate.ts'
import { openDatabases } from '../../src/db/open.ts'
import { firstIdAt, tenantId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { inTurns, lineOf } from './rounds.ts'

const login = { name: 'ubos_bench', password: 'bench' }
const tenants = { small: idOf(1), large: idOf(2), others: 9_998 }
const rows = { small: 1_000, large: 1_000_000, other: 100 }
const rounds = { rounds: 7, runs: 200 }

/**
 * How long a page of 50 takes for a tenant with a million rows, beside one with a thousand, in one
 * table that ten thousand tenants share; behind both fences.
 */
export async function measureLists(): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'ubos-bench-'))
  const settings = { fsync: 'off', shared_buffers: '1GB' }
  const server = await startPostgres({ home, say: () => undefined, settings })
  try {
    const ownerUrl = await ensureDatabase(server.ownerUrl, 'bench')
    await migrate(ownerUrl, login)
    await fill(ownerUrl)
    await measure(urlOf(ownerUrl, login))
  } finally {
    await server.stop()
    await rm(home, { recursive: true, force: true })
  }
}

async function measure(databaseUrl: string): Promise<void> {
  const databases = openDatabases(databaseUrl, createLog('warn'))
  const middle = (count: number) => [firstIdAt('cli', startMs + (count / 2) * stepMs)]
  const moment = (count: number) => new Date(startMs + (count / 2) * stepMs).toISOString()
  const cases: [string, ClientFilter, ((count: number) => string[]) | undefined][] = [
    ['first page', { sort: '-createdAt' }, undefined],
    ['oldest first', { sort: 'createdAt' }, undefined],
    ['from the middle', { sort: '-createdAt' }, middle],
    ['one e-mail', { sort: '-createdAt', email: 'c7@example.com' }, undefined],
    ['since the middle', { sort: 'createdAt', createdAfter: 'middle' }, undefined],
  ]
  console.log('\n| list of 50 | 1,000 rows, then 1,000,000 rows: ms (least–most) | ratio |')
  console.log('|---|---|---|')
  for (const [name, filter, placeOf] of cases) {
    const contenders = (['small', 'large'] as const).map((size) => {
      const tenant = tenants[size]
      const db = databases.readers.of(tenant)
      const own = filter.createdAfter ? { ...filter, createdAfter: moment(rows[size]) } : filter
      const page = { limit: 50, after: placeOf?.(rows[size]) }
      return { name: `${name}, ${size}`, run: () => pageClients(db, tenant, own, page) }
    })
    const figures = await inTurns(contenders, rounds)
    for (const figure of figures) console.log(lineOf(figure, figures[0] ?? figure))
  }
  await databases.close()
}

/** One row each second from then on. */
const startMs = Date.UTC(2026, 0, 1)
const stepMs = 1_000

async function fill(ownerUrl: string): Promise<void> {
  const owner = new pg.Client({ connectionString: ownerUrl })
  await owner.connect()
  const insert = (tenants: string, count: number) => `
    insert into client (tenant_id, id, external_id, name, email, currency, metadata, revision,
      created_at, updated_at)
    select tenant, pg_temp.id_at(at), 'e' || at, 'Client ' || at, 'c' || at || '@example.com', 'EUR',
      '{"segment": "enterprise"}', 1, moment, moment
    from (${tenants}) as owners (tenant), generate_series(0, ${count} - 1) as at,
      lateral (select to_timestamp(${startMs / 1_000}) + at * interval '1 second') as date (moment)`
  try {
    await owner.query(`
      create function pg_temp.id_at(at integer) returns text language sql immutable as $$
        select 'cli_' || string_agg(
          substr('0123456789abcdefghjkmnpqrstvwxyz',
            (((${startMs} + at::bigint * ${stepMs}) >> (45 - 5 * place)) & 31)::int + 1, 1),
          '' order by place) || '0000000000000000'
        from generate_series(0, 9) as place $$`)
    await owner.query(insert(`select '${tenants.small}'`, rows.small))
    await owner.query(insert(`select '${tenants.large}'`, rows.large))
    const others = `select 'ten_1' || lpad(number::text, 25, '0')
      from generate_series(1, ${tenants.others}) as number`
    await owner.query(insert(others, rows.other))
    await owner.query('vacuum analyze client')
  } finally {
    await owner.end()
  }
}

function idOf(number: number) {
  return tenantId(`ten_0${String(number).padStart(25, '0')}`)
}
