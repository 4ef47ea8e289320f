import { Logger, runMigrations, runTaskList } from 'graphile-worker'
import pg from 'pg'
import { createClock } from '../../src/clock.ts'
import { readConfig } from '../../src/config.ts'
import type { Context } from '../../src/context.ts'
import { openDatabases } from '../../src/db/open.ts'
import { createEgress } from '../../src/egress/send.ts'
import { runJobs } from '../../src/jobs/jobs.ts'
import { runPresence } from '../../src/jobs/presence.ts'
import { task, taskName } from '../../src/jobs/task.ts'
import { createLog } from '../../src/log.ts'
import { keyringFrom } from '../../src/secrets/keyring.ts'
import { createSecrets } from '../../src/secrets/secrets.ts'
import { openPostgres } from './postgres.ts'
import { takeTurns } from './rounds.ts'
import { compared, type Row } from './rows.ts'

const jobs = 10_000
const tenants = 20
const rounds = 3
const idle = taskName<object>('IDLE')

/**
 * Jobs a second that do nothing, from the start of the worker until each is recorded as done. Ours:
 * rows of twenty tenants, handed to graphile-worker within their shares, run under leases, and kept as
 * history. Beside it graphile-worker as it comes, with ten at once: its jobs wait in its own table
 * already, and are forgotten when they are done.
 */
export async function measureJobs(): Promise<Row[]> {
  await using database = await openPostgres()
  const owner = new pg.Pool({ connectionString: database.ownerUrl, max: 4 })
  const { ctx, close } = contextOver(database.url)
  await runMigrations({ pgPool: owner, schema: 'beside', logger: silent })
  const [ours = [], theirs = []] = await takeTurns(
    [() => runOurs(owner, ctx), () => runTheirs(owner)],
    rounds,
  )
  await close()
  await owner.end()
  return [
    compared({
      what: 'no-op jobs with our row, fence and caps',
      beside: 'graphile-worker with its defaults, concurrency 10',
      unit: 'jobs/s',
      ours,
      theirs,
      demand: { atLeast: 1 },
    }),
  ]
}

const silent = new Logger(() => () => undefined)

function contextOver(databaseUrl: string): { ctx: Context; close: () => Promise<void> } {
  const config = readConfig({ UBOS_LOG_LEVEL: 'warn' })
  const clock = createClock()
  const log = createLog(config.logLevel)
  const db = openDatabases(databaseUrl, log)
  const egress = createEgress(config.egress)
  const keyring = keyringFrom(Buffer.alloc(32, 7).toString('base64'))
  const secrets = createSecrets(keyring, clock.randomBytes)
  return {
    ctx: { config, clock, log, db, egress, secrets },
    async close() {
      await egress.close()
      await db.close()
    },
  }
}

async function runOurs(owner: pg.Pool, ctx: Context): Promise<number> {
  await owner.query('truncate job')
  await owner.query(
    `insert into job (tenant_id, id, task, payload, status, priority, due_at, attempt_count,
       actor_type, actor_id, correlation_id, created_at)
     select 'ten_' || lpad((number % ${tenants})::text, 26, '0'), 'job_' || lpad(number::text, 26, '0'),
       'IDLE', '{}', 'PENDING', 2, now() - interval '1 hour', 0, 'SYSTEM', 'bench', 'bench', now()
     from generate_series(1, ${jobs}) as number`,
  )
  const presence = runPresence(ctx)
  while (!presence.isHeld()) await new Promise((resolve) => setTimeout(resolve, 1))
  const nothing = task(idle, {
    timeoutMs: 10_000,
    attemptsMax: 1,
    backoff: { firstMs: 1_000, mostMs: 1_000 },
    run: async () => undefined,
  })
  const startMs = performance.now()
  const running = runJobs(ctx, presence, [nothing])
  await emptied(owner, `select from job where status <> 'SUCCEEDED' limit 1`)
  const seconds = (performance.now() - startMs) / 1_000
  await running.stop(1_000)
  await presence.stop()
  return jobs / seconds
}

async function runTheirs(owner: pg.Pool): Promise<number> {
  await owner.query(
    `select count(*) from beside.add_jobs(array(
      select row('idle', '{}', null, null, null, null, null, null)::beside.job_spec
      from generate_series(1, ${jobs})))`,
  )
  const pool = new pg.Pool({ connectionString: owner.options.connectionString, max: 10 })
  const startMs = performance.now()
  const settings = { schema: 'beside', concurrency: 10, noHandleSignals: true, logger: silent }
  const running = runTaskList(settings, { idle: async () => undefined }, pool)
  await emptied(owner, 'select from beside.jobs limit 1')
  const seconds = (performance.now() - startMs) / 1_000
  await running.gracefulShutdown()
  await pool.end()
  return jobs / seconds
}

/** Waits until a query finds nothing more. */
async function emptied(owner: pg.Pool, query: string): Promise<void> {
  const endMs = performance.now() + 120_000
  while ((await owner.query(query)).rowCount !== 0) {
    if (performance.now() > endMs) throw new Error(`still there: ${query}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
