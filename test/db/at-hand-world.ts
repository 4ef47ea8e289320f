import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterAll, onTestFinished, vi } from 'vitest'
import { findServer } from '#db/at-hand/identity.ts'
import { type PostgresAtHand, startPostgres } from '#db/at-hand/postgres.ts'
import { stopServer } from '#db/at-hand/stop.ts'

// A first start may take seconds on a machine that is busy with other tests.
vi.setConfig({ testTimeout: 30_000 })

export const isRoot = process.getuid?.() === 0

export type Settings = Record<string, string>

/** These databases need not survive the machine. */
const fast: Settings = { fsync: 'off' }

/** A home that does not exist yet; removed after the test, with the server that runs in it. */
export function newHome(name = 'home', parentMode = 0o755): string {
  const home = makeHome(name, parentMode)
  onTestFinished(async () => {
    await stopIn(home)
    await removeTree(dirname(home))
  })
  return home
}

/** The home of all tests of a file, because making one takes a second; at rest before each test. */
export function sharedHome(): () => string {
  const home = makeHome('home', 0o755)
  afterAll(() => removeTree(dirname(home)))
  return () => {
    onTestFinished(() => stopIn(home))
    return home
  }
}

function makeHome(name: string, parentMode: number): string {
  const parent = mkdtempSync(join(realpathSync(tmpdir()), 'ubos-at-hand-'))
  chmodSync(parent, parentMode)
  return join(parent, name)
}

/** `rmSync` stops silently when something else removes a file meanwhile. */
export function removeTree(path: string): Promise<void> {
  return rm(path, { recursive: true, maxRetries: 5 })
}

/** Ends what a test has left running. */
export async function stopIn(home: string): Promise<void> {
  await stopServer(join(home, 'data'), 10_000)
}

/** Starts Postgres for the test's own process, and keeps what it says. */
export async function start(
  home: string,
  settings: Settings = {},
): Promise<{ postgres: PostgresAtHand; said: string[] }> {
  const said: string[] = []
  const postgres = await startPostgres({
    home,
    say: (line) => said.push(line),
    settings: { ...fast, ...settings },
  })
  onTestFinished(async () => {
    await postgres.stop()
  })
  return { postgres, said }
}

/** What a process of `at-hand-process.ts` prints. */
export interface Report {
  readonly pid: number
  readonly port: number
  readonly origin: 'started' | 'adopted'
  readonly home: string
  readonly ownerUrl: string
  readonly refusal?: string
  readonly outcome?: 'stopped' | 'left'
}

export interface Elsewhere {
  readonly child: ChildProcess
  /** The next thing that it prints. */
  report(): Promise<Report>
  /** Makes it stop, and tells the outcome. */
  stop(): Promise<Report['outcome']>
  kill(): Promise<void>
}

export interface ElsewhereOptions {
  readonly settings?: Settings
  readonly as?: Owner
  /** A command that runs the one that follows it. */
  readonly within?: readonly string[]
}

/** Starts Postgres for another process, which lives until it is stopped or killed. */
export function startElsewhere(
  home: string,
  { settings = {}, as, within = [] }: ElsewhereOptions = {},
): Elsewhere {
  const script = fileURLToPath(new URL('./at-hand-process.ts', import.meta.url))
  const [program = '', ...args] = [
    ...within,
    ...[process.execPath, script, home, JSON.stringify({ ...fast, ...settings })],
  ]
  const child = spawn(program, args, { ...as, stdio: ['pipe', 'pipe', 'ignore'] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const report = async () => JSON.parse((await lines.next()).value ?? 'null') as Report
  const kill = () => killHard(child)
  onTestFinished(kill)
  return {
    child,
    report,
    kill,
    async stop() {
      child.stdin.write('stop\n')
      return (await report()).outcome
    },
  }
}

async function killHard(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** A server in this home that was killed together with the process that had started it. */
export async function killedServer(home: string, options?: ElsewhereOptions): Promise<Report> {
  const elsewhere = startElsewhere(home, options)
  const report = await elsewhere.report()
  await elsewhere.kill()
  process.kill(report.pid, 'SIGKILL')
  await until(() => findServer(join(report.home, 'data')).is !== 'running')
  return report
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

/** The pid of a harmless process of that user. */
export function stranger({ uid, gid }: Owner): number {
  const child = spawn('sleep', ['300'], { uid, gid, stdio: 'ignore' })
  onTestFinished(() => killHard(child))
  return child.pid ?? 0
}

/** The pid of a process of that user that has ended, and that its parent does not reap. */
export async function zombie({ uid, gid }: Owner): Promise<number> {
  const script = 'sleep 0 & echo $!; exec sleep 300'
  const child = spawn('sh', ['-c', script], { uid, gid, stdio: ['ignore', 'pipe', 'ignore'] })
  onTestFinished(() => killHard(child))
  const [output] = await once(child.stdout, 'data')
  const pid = Number(output)
  await until(() => !isAlive(pid))
  return pid
}

/** Makes a pid file name another process, as when its pid has been given away. */
export function writePid(home: string, pid: number): void {
  const path = join(home, 'data', 'postmaster.pid')
  writeFileSync(path, readFileSync(path, 'utf8').replace(/^\d+/, String(pid)))
}

/** A zombie is dead: nobody has taken notice yet, that is all. */
export function isAlive(pid: number): boolean {
  return !/^($|.*\) Z )/.test(readStat(pid))
}

function readStat(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return ''
  }
}

export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(5)
}

/** A superuser's session; the test may lose it without ado. */
export async function connect(ownerUrl: string): Promise<Client> {
  const client = new Client(ownerUrl)
  client.on('error', () => {})
  onTestFinished(() => client.end().catch(() => {}))
  await client.connect()
  return client
}

export async function ask(ownerUrl: string, sql: string): Promise<string> {
  const client = await connect(ownerUrl)
  const { rows } = await client.query<string[]>({ text: sql, rowMode: 'array' })
  await client.end()
  return String(rows[0]?.[0])
}
