import pg from 'pg'
import { firstIdAt } from '../../src/ids.ts'
import { clientInput } from './contract/sample.ts'
import { type Load, measureServer } from './load.ts'
import { openPostgres } from './postgres.ts'
import { takeTurns } from './rounds.ts'
import { compared, type Demand, figure, type Row, spreadOf } from './rows.ts'
import { type Server, startServer } from './server.ts'

const rounds = 5
const seconds = 2
/** A quarter of a minute: so long it takes until Node has compiled what is hot. */
const warmUps = 7
const connections = 32
const clientsKept = 2_000

/** The product's API over Postgres, beside `pg` by hand behind bare Fastify. */
export async function measureDb(): Promise<Row[]> {
  await using database = await openPostgres()
  await using ours = await startServer(new URL('db/ours.ts', import.meta.url), {
    words: [database.url],
  })
  const { tenantId, ids } = await prepare(database.ownerUrl)
  await using theirs = await startServer(new URL('db/theirs.ts', import.meta.url), {
    words: [database.ownerUrl, database.url, tenantId],
  })
  const key = { authorization: `Bearer ${ours.facts.key}` }
  const body = JSON.stringify(clientInput)
  const json = { 'content-type': 'application/json', 'idempotency-key': 'bench-{n}' }
  const post = { method: 'POST', headers: { ...key, ...json }, body } as const
  const create = to(ours, { ...post, paths: ['/api/v1/clients'] })
  // Connections are opened a few at a time before all are asked for at once.
  const gently = { ...post, paths: ['/api/v1/clients'], connections: 2, seconds: 1 }
  await measureServer(ours, gently)
  const [created = [], single = [], awaited = []] = await takeTurns(
    [
      create,
      to(theirs, { ...post, paths: ['/single'] }),
      to(theirs, { ...post, paths: ['/awaited'] }),
    ],
    rounds,
    warmUps,
  )
  const what = 'create client, with its event, audit entry and kept reply, both fences'
  const paths = ids.map((id) => `/clients/${id}`)
  const byId = await inTurns(
    to(ours, { paths: paths.map((path) => `/api/v1${path}`), headers: key }),
    to(theirs, { paths }),
  )
  const list = await inTurns(
    to(ours, { paths: ['/api/v1/clients?limit=50'], headers: key }),
    to(theirs, { paths: ['/clients'] }),
  )
  const bare = 'named `pg` behind bare Fastify, no fence'
  return [
    rowOf(what, 'a named single insert by `pg` behind bare Fastify', [created, single], 0.4),
    rowOf(what, 'the same rows awaited one by one', [created, awaited], 1.8),
    rowOf('get by id, both fences', bare, byId, 0.7),
    rowOf('list of 50, both fences', bare, list, 0.85),
  ]
}

type Measures = Awaited<ReturnType<typeof measureServer>>[]

function to(server: Server, load: Pick<Load, 'method' | 'paths' | 'headers' | 'body'>) {
  return () => measureServer(server, { ...load, connections, seconds })
}

async function inTurns(...both: ReturnType<typeof to>[]): Promise<[Measures, Measures]> {
  const [ours = [], theirs = []] = await takeTurns(both, rounds, warmUps)
  return [ours, theirs]
}

function rowOf(what: string, beside: string, [ours, theirs]: [Measures, Measures], least: number) {
  const middle = (of: Measures, name: 'cpuMicros' | 'p50Ms' | 'p99Ms') =>
    figure(spreadOf(of.map((measure) => measure[name])).median)
  const demand: Demand = { atLeast: least }
  return compared({
    what,
    beside,
    unit: 'req/s',
    ours: ours.map(({ perSecond }) => perSecond),
    theirs: theirs.map(({ perSecond }) => perSecond),
    demand,
    note:
      `CPU of the server for each ${middle(ours, 'cpuMicros')} and ` +
      `${middle(theirs, 'cpuMicros')} µs; p50 ${middle(ours, 'p50Ms')} and ` +
      `${middle(theirs, 'p50Ms')} ms, p99 ${middle(ours, 'p99Ms')} and ${middle(theirs, 'p99Ms')} ms`,
  })
}

/** Lets the tenant ask as much as it likes, and gives both sides the same clients to read. */
async function prepare(ownerUrl: string) {
  const owner = new pg.Client({ connectionString: ownerUrl })
  await owner.connect()
  try {
    const { rows } = await owner.query(`select tenant_id from tenant where environment = 'SANDBOX'`)
    const tenantId = String(rows[0]?.tenant_id)
    const plenty = { quota: 1_000_000, windowSeconds: 1 }
    const limits = { key: { read: plenty, write: plenty }, tenant: { read: plenty, write: plenty } }
    await owner.query(
      `insert into tenant_limit (tenant_id, overrides, revision, updated_at) values ($1, $2, 1, now())
       on conflict (tenant_id) do update set overrides = excluded.overrides`,
      [tenantId, JSON.stringify({ ...limits, concurrent: 10_000 })],
    )
    const { name, email, phone, taxNumber, address, currency, metadata } = clientInput
    const startMs = Date.UTC(2026, 0, 1)
    const ids = Array.from({ length: clientsKept }, (_, at) => firstIdAt('cli', startMs + at))
    await owner.query(
      `insert into client (tenant_id, id, external_id, name, email, phone, tax_number, address,
         currency, metadata, revision, created_at, updated_at)
       select $1, id, 'kept-' || id, $3, $4, $5, $6, $7, $8, $9, 1, now(), now()
       from unnest($2::text[]) as kept (id)`,
      [tenantId, ids, name, email, phone, taxNumber, address, currency, metadata],
    )
    await owner.query('create table bare_client (like client including all)')
    await owner.query('insert into bare_client select * from client')
    await owner.query('vacuum analyze')
    return { tenantId, ids }
  } finally {
    await owner.end()
  }
}
