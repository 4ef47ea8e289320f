import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Config } from '#config.ts'
import { PostgresRefusal, startPostgres } from './at-hand/postgres.ts'
import { findApplied } from './installation.ts'
import { type Login, urlOf } from './login.ts'
import { ensureDatabase, migrate, readMigrations } from './migrate.ts'
import { queueVersion } from './queue-schema.ts'
import { testFences } from './self-test.ts'
import { isConnectionLoss } from './transact.ts'

/** A migrated, fenced database. */
export interface Connected {
  /** The address that the process works with. */
  url: string
  /** The migrations that this start applied. */
  applied: string[]
  /** Where the embedded database lives; undefined for another one. */
  home: string | undefined
  close(): Promise<void>
}

/** The database cannot be used; the message is one line for the operator. */
export class DatabaseRefusal extends Error {
  override readonly name = 'DatabaseRefusal'
}

/** How a start goes: what it says, and the moment at which it is told to stop. */
export interface Starting {
  say(line: string): void
  stopAsked: Promise<unknown>
}

/** After a power cut the database and we begin at once: so long is it waited for, in ms. */
const patienceMs = 60_000
const pauseMs = 500

/**
 * Brings the database to where a process can work: starts the embedded one unless `DATABASE_URL`
 * names another, migrates as the owner when there is one to migrate as, and tests the fences. One
 * that cannot be reached is waited for; `DatabaseRefusal` when it does not come.
 */
export async function connect(
  config: Config,
  mustMigrate: boolean,
  starting: Starting,
): Promise<Connected> {
  const { databaseUrl, databaseOwnerUrl } = config
  try {
    return databaseUrl === undefined
      ? await connectEmbedded(config.dataDir, starting.say)
      : await patiently(() => connectTo(databaseUrl, databaseOwnerUrl, mustMigrate), starting)
  } catch (error) {
    if (error instanceof PostgresRefusal) throw new DatabaseRefusal(error.message, { cause: error })
    if (error instanceof pg.DatabaseError) {
      const hint = /^42(704|P01)$/.test(error.code ?? '') ? '; run: npm start migrate' : ''
      throw new DatabaseRefusal(`the database says: ${error.message}${hint}`, { cause: error })
    }
    if (!isConnectionLoss(error) && !isUnknownHost(error)) throw error
    throw new DatabaseRefusal(`the database cannot be reached: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

async function patiently<Result>(work: () => Promise<Result>, { say, stopAsked }: Starting) {
  const endMs = performance.now() + patienceMs
  const stop = stopAsked.then(() => 'stop')
  for (let isTold = false; ; isTold = true) {
    try {
      return await work()
    } catch (error) {
      const isOver = performance.now() > endMs
      // The name of a server that begins beside us is not known before it does.
      if (!(isConnectionLoss(error) || isUnknownHost(error)) || isOver) throw error
      if (!isTold) say(`Waiting for the database: ${reasonOf(error)}`)
      if ((await Promise.race([sleep(pauseMs), stop])) === 'stop') throw error
    }
  }
}

async function connectEmbedded(home: string, say: (line: string) => void): Promise<Connected> {
  const server = await startPostgres({ home, say })
  try {
    const ownerUrl = await ensureDatabase(server.ownerUrl, 'ubos')
    const login = loginOf(server.ownerUrl)
    const applied = await migrate(ownerUrl, login)
    const url = urlOf(ownerUrl, login)
    await testFences(url)
    return { url, applied, home: server.home, close: async () => void (await server.stop()) }
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function connectTo(
  url: string,
  ownerUrl: string | undefined,
  mustMigrate: boolean,
): Promise<Connected> {
  const applied: string[] = []
  if (ownerUrl !== undefined) {
    const { username, password } = new URL(url)
    const login = { name: decodeURIComponent(username), password: decodeURIComponent(password) }
    applied.push(...(await migrate(ownerUrl, login)))
  } else if (mustMigrate) {
    throw new DatabaseRefusal('DATABASE_OWNER_URL is missing; migrations run as the owner')
  }
  const known = await findApplied(url)
  const wanted = [...(await readMigrations()).map(({ name }) => name), queueVersion]
  const missing = wanted.filter((name) => !known.has(name))
  if (missing.length > 0) {
    throw new DatabaseRefusal(`${missing.length} migrations are missing; run: npm start migrate`)
  }
  await testFences(url)
  return { url, applied, home: undefined, close: async () => undefined }
}

/** The login of the embedded database: its password follows from the owner's. */
function loginOf(ownerUrl: string): Login {
  const { password } = new URL(ownerUrl)
  return {
    name: 'ubos',
    password: createHmac('sha256', password).update('ubos').digest('base64url'),
  }
}

function isUnknownHost(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'getaddrinfo'
}

function reasonOf(error: unknown): string {
  const inner = error instanceof AggregateError ? error.errors[0] : error
  return inner instanceof Error ? inner.message : String(inner)
}
