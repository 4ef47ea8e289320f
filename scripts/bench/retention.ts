import pg from 'pg'
import { createClock } from '../../src/clock.ts'
import type { Context } from '../../src/context.ts'
import { openDatabases } from '../../src/db/open.ts'
import { firstIdAt, type IdPrefix, type TenantId, tenantId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { dropOldDays } from '../../src/retention/days.sql.ts'
import { sweepOldRows } from '../../src/retention/sweep.task.ts'
import { claimDeliveries, noLane } from '../../src/webhooks/claim.sql.ts'
import { pageAttempts, pageDeliveries } from '../../src/webhooks/delivery.sql.ts'
import { releaseLeases } from '../../src/webhooks/dispatch.sql.ts'
import { openPostgres } from './postgres.ts'
import { takeTurns } from './rounds.ts'
import { bounded, compared, type Row } from './rows.ts'

const dayMs = 24 * 60 * 60 * 1_000

/** Today, thirty days that are kept, and three that are too old. */
const days = { kept: 30, tooOld: 3 }
const tenants = 100
const endpoints = 10
/**
 * Of each tenant on each day; two attempts each: in the large one ten million over all days, and in
 * both enough for a page of each endpoint.
 */
const deliveries = { small: 20, large: 1_515 }
const due = 1_000
const rounds = 5

/**
 * What ten million attempts cost those who come after them: a claim, lists, the hourly sweep, and how
 * long a table is locked while a day of it is dropped, beside an installation with a few thousand.
 */
export async function measureRetention(): Promise<Row[]> {
  await using large = await openPostgres({ fsync: 'off', shared_buffers: '1GB' })
  await using small = await openPostgres({ fsync: 'off', shared_buffers: '128MB' })
  await fill(large.ownerUrl, deliveries.large)
  await fill(small.ownerUrl, deliveries.small)
  const [ours, theirs] = [contextOf(large.url), contextOf(small.url)]
  try {
    return [...(await measureReaders(ours, theirs)), ...(await measureSweeps(ours, theirs))]
  } finally {
    await Promise.all([ours.db.close(), theirs.db.close()])
  }
}

type Bench = Pick<Context, 'clock' | 'log'> & { db: ReturnType<typeof openDatabases> }

function contextOf(url: string): Bench {
  const log = createLog('warn')
  return { db: openDatabases(url, log), clock: createClock(), log }
}

async function measureReaders(ours: Bench, theirs: Bench): Promise<Row[]> {
  const tenant = tenantOf(7)
  const delivery = idOn('whd', 9, 2)
  const page = { limit: 50, after: undefined }
  const newestFirst = { sort: '-createdAt' } as const
  const cases: [string, (bench: Bench) => Promise<unknown>, runs?: number][] = [
    // Few at a time: what is claimed again and again leaves dead rows, which no worker does.
    ['claim of 256 due deliveries', claimAndRelease, 4],
    [
      'list of 50 deliveries',
      ({ db }) => pageDeliveries(db.readers.of(tenant), tenant, newestFirst, page),
    ],
    [
      'list of 50 deliveries to one endpoint',
      ({ db }) => {
        const filter = { ...newestFirst, endpointId: endpointOf(3) }
        return pageDeliveries(db.readers.of(tenant), tenant, filter, page)
      },
    ],
    [
      'attempts of a delivery',
      ({ db }) => pageAttempts(db.readers.of(tenant), tenant, delivery, { sort: 'number' }, page),
    ],
  ]
  const rows: Row[] = []
  for (const [what, run, runs = 20] of cases) {
    rows.push(
      await compare(
        what,
        () => meanMs(runs, () => run(ours)),
        () => meanMs(runs, () => run(theirs)),
      ),
    )
  }
  return rows
}

/** First the days that are too old go, under a writer; then the sweep finds nothing any more. */
async function measureSweeps(ours: Bench, theirs: Bench): Promise<Row[]> {
  const locks: number[] = []
  const waits: number[] = []
  const heard = {
    ...ours.log,
    warn: ours.log.warn.bind(ours.log),
    info: (fields: { lockedMs?: number }) => void locks.push(fields.lockedMs ?? Number.NaN),
  }
  const stop = keepWriting(ours, waits)
  await dropOldDays({ ...ours, log: heard } as unknown as Context)
  await stop()
  await dropOldDays(theirs as unknown as Context)
  const sweep = (bench: Bench) => () => sweepMs(bench)
  return [
    bounded({
      what: 'table locked while a day of 300,000 attempts or half as many deliveries is dropped',
      unit: 'ms',
      ours: locks,
      demand: { atMost: 100 },
      note: `${locks.length} days`,
    }),
    bounded({
      what: 'the longest that a writer of attempts waited meanwhile',
      unit: 'ms',
      ours: [Math.max(...waits)],
      demand: { atMost: 100 },
      note: `${waits.length} writes`,
    }),
    await compare('hourly sweep that finds nothing', sweep(ours), sweep(theirs)),
  ]
}

async function compare(
  what: string,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
): Promise<Row> {
  const [own = [], other = []] = await takeTurns([ours, theirs], rounds)
  return compared({
    what: `${what}, with 10,000,000 attempts`,
    beside: 'with 136,000',
    unit: 'ms',
    ours: own,
    theirs: other,
    demand: { atMost: 1.5 },
  })
}

async function meanMs(runs: number, run: () => Promise<unknown>): Promise<number> {
  const begunMs = performance.now()
  for (let count = 0; count < runs; count += 1) await run()
  return (performance.now() - begunMs) / runs
}

const sweepMs = (bench: Bench) => meanMs(3, () => sweepOldRows(bench as unknown as Context))

async function claimAndRelease({ db }: Bench): Promise<void> {
  const { claimed } = await claimDeliveries(db.worker, {
    ...{ token: 'bench', limit: 256, endpointInFlightMax: 10, tenantRoom: 256, slow: [] },
    ...{ tenantRooms: new Map(), leaseMs: 60_000, now: new Date(), after: noLane },
  })
  if (claimed.length !== 256) throw new Error(`claimed ${claimed.length}`)
  await releaseLeases(db.worker, claimed)
}

/** Writes an attempt after the other, and how long each took, until it is told to stop. */
function keepWriting({ db }: Bench, waits: number[]): () => Promise<void> {
  let isStopped = false
  const write = async () => {
    for (let number = 0; !isStopped; number += 1) {
      const begunMs = performance.now()
      await db.worker.query(
        `insert into attempt (tenant_id, id, created_on, delivery_id, number, started_at,
           duration_ms, outcome) values ($1, 'att_bench', $2, 'whd_bench', $3, now(), 1, 'REFUSED')`,
        [tenantOf(0), dayAgo(0), number],
      )
      waits.push(performance.now() - begunMs)
    }
  }
  const writing = write()
  return async () => {
    isStopped = true
    await writing
  }
}

async function fill(ownerUrl: string, perTenant: number): Promise<void> {
  const ages = Array.from({ length: days.kept + days.tooOld + 1 }, (_, age) => age)
  const owners = await Promise.all([connect(ownerUrl), connect(ownerUrl)])
  try {
    const [owner] = owners
    await owner?.query('select ubos_make_partitions($1::date, $2)', [
      dayAgo(ages.length - 1),
      ages.length,
    ])
    await owner?.query(endpointsText)
    await Promise.all(
      owners.map(async (client, at) => {
        for (const age of ages.filter((each) => each % owners.length === at)) {
          await client.query(deliveriesText(age, perTenant))
          await client.query(attemptsText(age, perTenant))
        }
      }),
    )
    await owner?.query(dueText)
    await owner?.query('vacuum analyze')
  } finally {
    await Promise.all(owners.map((client) => client.end()))
  }
}

async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  return client
}

const dayAgo = (age: number) => new Date(Date.now() - age * dayMs).toISOString().slice(0, 10)
const tenantOf = (number: number): TenantId => tenantId(`ten_0${String(number).padStart(25, '0')}`)
const endpointOf = (number: number) => `whe_0${String(number).padStart(25, '0')}`

/** The beginning of all ids of a day; a number of 16 digits makes it whole. */
const headOf = (prefix: IdPrefix, age: number) =>
  firstIdAt(prefix, Date.parse(dayAgo(age))).slice(0, -16)
const idOn = (prefix: IdPrefix, age: number, number: number) =>
  headOf(prefix, age) + String(number).padStart(16, '0')

const everyTenant = `(select 'ten_0' || lpad(t::text, 25, '0') from generate_series(0, ${tenants - 1}) as t)
  as owner (tenant_id)`
const endpointBy = (number: string) => `'whe_0' || lpad((${number} % ${endpoints})::text, 25, '0')`
const digits = (number: string) => `lpad((${number})::text, 16, '0')`
const partition = (table: string, age: number) => `${table}_${dayAgo(age).replaceAll('-', '')}`

const endpointsText = `
  insert into webhook_endpoint (tenant_id, id, url, event_types, filter, status, secret, revision,
    in_flight_max, ordering, created_at, updated_at)
  select tenant_id, ${endpointBy('n')}, 'https://example.com', '{*}', '[]', 'ENABLED', '', 1, 10, 'NONE',
    now(), now()
  from ${everyTenant}, generate_series(0, ${endpoints - 1}) as n`

const deliveriesText = (age: number, perTenant: number) => `
  insert into ${partition('webhook_delivery', age)} (tenant_id, id, created_on, endpoint_id,
    event_id, event_created_on, event_type, status, attempt_count, created_at)
  select tenant_id, '${headOf('whd', age)}' || ${digits('n')}, '${dayAgo(age)}',
    ${endpointBy('n')}, '${headOf('evt', age)}' || ${digits('n')}, '${dayAgo(age)}',
    'client.created', 'DELIVERED', 2, '${dayAgo(age)}'
  from ${everyTenant}, generate_series(0, ${perTenant - 1}) as n`

const attemptsText = (age: number, perTenant: number) => `
  insert into ${partition('attempt', age)} (tenant_id, id, created_on, delivery_id, number,
    started_at, duration_ms, outcome, response_status, response_body)
  select tenant_id, '${headOf('att', age)}' || ${digits('n * 2 + number')}, '${dayAgo(age)}',
    '${headOf('whd', age)}' || ${digits('n')}, number, '${dayAgo(age)}', 12, 'DELIVERED', 200, 'ok'
  from ${everyTenant}, generate_series(0, ${perTenant - 1}) as n, generate_series(1, 2) as number`

/** Deliveries of today that are due, ten to each of some endpoints, with their events. */
const dueText = `
  with event as (
    insert into event (tenant_id, id, created_on, type, version, occurred_at, correlation_id, body)
    select tenant_id, '${headOf('evt', 0)}' || ${digits('n')}, '${dayAgo(0)}', 'client.created', 1,
      now(), 'bench', '{}'
    from ${everyTenant}, generate_series(0, ${due / tenants - 1}) as n returning *
  )
  insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
    event_created_on, due_at, attempt_count, retry_count)
  select tenant_id, ${endpointBy('right(id, 16)::bigint')}, replace(id, 'evt_', 'whd_'), created_on,
    id, created_on, now() - right(tenant_id, 4)::integer * interval '1 microsecond', 0, 0 from event`
