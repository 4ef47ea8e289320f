import pg from 'pg'
import { type ClientFilter, pageClients } from '../../src/clients/client.sql.ts'
import { openDatabases } from '../../src/db/open.ts'
import { firstIdAt, tenantId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { openPostgres } from './postgres.ts'
import { takeTurns } from './rounds.ts'
import { compared, type Row } from './rows.ts'

const tenants = { small: idOf(1), large: idOf(2), others: 9_998 }
const rows = { small: 1_000, large: 1_000_000, other: 100 }

/**
 * How long a page of 50 takes for a tenant with a million rows, beside one with a thousand, in one
 * table that ten thousand tenants share; behind both fences.
 */
export async function measureLists(): Promise<Row[]> {
  await using database = await openPostgres({ fsync: 'off', shared_buffers: '1GB' })
  await fill(database.ownerUrl)
  return await measure(database.url)
}

async function measure(databaseUrl: string): Promise<Row[]> {
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
  const lines: Row[] = []
  for (const [name, filter, placeOf] of cases) {
    const pageOf = (size: 'small' | 'large') => {
      const tenant = tenants[size]
      const db = databases.readers.of(tenant)
      const own = filter.createdAfter ? { ...filter, createdAfter: moment(rows[size]) } : filter
      const page = { limit: 50, after: placeOf?.(rows[size]) }
      return () => meanMs(() => pageClients(db, tenant, own, page))
    }
    const [ours = [], theirs = []] = await takeTurns([pageOf('large'), pageOf('small')], 7)
    lines.push(
      compared({
        what: `list of 50 of a tenant with 1,000,000 rows: ${name}`,
        beside: 'of one with 1,000, in the same table',
        unit: 'ms',
        ours,
        theirs,
        demand: { atMost: 1.3 },
      }),
    )
  }
  await databases.close()
  return lines
}

async function meanMs(run: () => Promise<unknown>): Promise<number> {
  const runs = 200
  const begunMs = performance.now()
  for (let count = 0; count < runs; count += 1) await run()
  return (performance.now() - begunMs) / runs
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
