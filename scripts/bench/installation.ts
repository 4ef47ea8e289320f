import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { ensureDatabase } from '../../src/db/migrate.ts'
import { startFlags } from './flags.ts'
import { openPostgres } from './postgres.ts'
import type { Trace } from './webhooks/trace.ts'

/** An installation as a user has it: the product's own processes over a database that waits for its disk. */
export interface Installation {
  /** The superuser's, past the fences. */
  readonly owner: pg.Client
  /** A database beside it, for what one would take instead: a NOTIFY there wakes nobody here. */
  readonly rivals: pg.Client
  readonly rivalsUrl: string
  /** How far processes came when with timed deliveries since this was asked last. */
  takeTraces(): Trace[]
  /** Starts a process in one of the product's roles, as `npm start` does; ready when it answers. */
  start(role: 'all' | 'worker', isTraced?: boolean): Promise<Product>
  stop(): Promise<void>
}

export interface Product {
  readonly url: string
  /** What it said when it started: with role `all` on a new database, the first keys. */
  readonly said: string
  rssMiB(): number
  stop(): Promise<void>
}

const root = new URL('../../', import.meta.url)

export async function startInstallation(): Promise<Installation> {
  const database = await openPostgres()
  const { ownerUrl } = database
  const owner = new pg.Client({ connectionString: ownerUrl })
  await owner.connect()
  const rivalsUrl = await ensureDatabase(ownerUrl, 'rivals')
  const rivals = new pg.Client({ connectionString: rivalsUrl })
  await rivals.connect()
  const products = new Set<Product>()
  const traces = mkdtempSync(join(tmpdir(), 'ubos-traces-'))
  const tracing = [`--import=${fileURLToPath(new URL('./webhooks/trace.ts', import.meta.url))}`]
  const traceFile = join(traces, 'traces')
  const env = {
    ...process.env,
    BENCH_TRACE: traceFile,
    ...{ DATABASE_URL: database.url, UBOS_PROFILE: 'development' },
    ...{ UBOS_MASTER_KEY: randomBytes(32).toString('base64'), PORT: '0', ADMIN_PORT: '0' },
  }
  return {
    owner,
    rivals,
    rivalsUrl,
    takeTraces() {
      const lines = existsSync(traceFile) ? readFileSync(traceFile, 'utf8').trim().split('\n') : []
      rmSync(traceFile, { force: true })
      return lines.filter(Boolean).map((line) => JSON.parse(line) as Trace)
    },
    async start(role, isTraced = false) {
      const args = [
        ...startFlags,
        ...profiling(),
        ...(isTraced ? tracing : []),
        'src/doorstep.js',
        role,
      ]
      const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
      const child = spawn(process.execPath, args, { cwd: root, env, stdio })
      const said = await saidUntilReady(child)
      const product: Product = {
        url: /listens on (\S+)/.exec(said)?.[1] ?? '',
        said,
        rssMiB: () =>
          Number(execFileSync('ps', ['-o', 'rss=', '-p', String(child.pid)]).toString()) / 1_024,
        async stop() {
          products.delete(product)
          const ended = once(child, 'exit')
          child.kill('SIGTERM')
          await ended
        },
      }
      products.add(product)
      return product
    },
    async stop() {
      for (const product of products) await product.stop()
      await owner.end()
      await rivals.end()
      rmSync(traces, { recursive: true, force: true })
      await database[Symbol.asyncDispose]()
    },
  }
}

/** `BENCH_CPU_PROF=<directory>` leaves a CPU profile of each process of the product there. */
function profiling(): string[] {
  const directory = process.env.BENCH_CPU_PROF
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`]
}

async function saidUntilReady(child: ChildProcess): Promise<string> {
  let said = ''
  for await (const chunk of child.stdout?.iterator({ destroyOnReturn: false }) ?? []) {
    said += chunk
    if (said.includes('Ready in')) break
  }
  if (!said.includes('Ready in')) throw new Error(`the product did not start: ${said}`)
  child.stdout?.resume()
  return said
}
