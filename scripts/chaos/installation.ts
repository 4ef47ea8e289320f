import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type PostgresAtHand, startPostgres } from '../../src/db/at-hand/postgres.ts'
import { urlOf } from '../../src/db/login.ts'
import { ensureDatabase, migrate } from '../../src/db/migrate.ts'
import type { Query } from './checker/finding.ts'
import { type Fleet, launch, startFleet } from './fleet.ts'
import { type PostgresProxy, startProxy } from './proxy.ts'

const login = { name: 'ubos', password: 'only-for-chaos' }

/** A whole installation of its own: Postgres on a new directory, processes, and a proxy in between. */
export interface Installation {
  readonly operatorKey: string
  readonly fleet: Fleet
  readonly proxy: PostgresProxy
  /** Reads as the superuser, not by the proxy. */
  readonly query: Query
  /** Kills the postmaster, and resolves once there is another. */
  killPostgres(): Promise<void>
  stop(): Promise<void>
}

export async function openInstallation(): Promise<Installation> {
  const home = mkdtempSync(join(tmpdir(), 'ubos-chaos-'))
  const server = await startPostgres({ home, say: () => undefined })
  try {
    return await openOn(server, home)
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function openOn(server: PostgresAtHand, home: string): Promise<Installation> {
  const ownerUrl = await ensureDatabase(server.ownerUrl, 'ubos')
  await migrate(ownerUrl, login)
  // The checker joins whole tables of which the planner knows little yet.
  const options = '-c enable_nestloop=off'
  const owner = new pg.Pool({ connectionString: ownerUrl, max: 2, options })
  owner.on('error', () => undefined)
  const proxy = await startProxy(server.port)
  const direct = urlOf(ownerUrl, login)
  const proxied = Object.assign(new URL(direct), { port: proxy.port }).href
  const env = (databaseUrl: string) => ({
    DATABASE_URL: databaseUrl,
    DATABASE_OWNER_URL: '',
    UBOS_MASTER_KEY: Buffer.alloc(32, 9).toString('base64'),
    UBOS_PROFILE: 'development',
    UBOS_LOG_LEVEL: 'fatal',
  })
  const first = await launch('all', env(direct))
  await first?.end('SIGTERM')
  // Of each role one process comes by the proxy, so that some have trouble that others have not.
  const fleet = await startFleet((slot) => env(slot === 0 ? proxied : direct))
  return {
    ...{ operatorKey: first?.operatorKey ?? '', fleet, proxy },
    query: async (text, values) => (await owner.query({ text, values: values ?? [] })).rows,
    killPostgres: () => killPostgres(server),
    async stop() {
      await fleet.stop()
      proxy.stop()
      await owner.end()
      await server.stop()
      await rm(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** The server's keeper starts it again; its recovery is Postgres' own. */
async function killPostgres(server: PostgresAtHand): Promise<void> {
  const { pid } = server
  process.kill(pid, 'SIGKILL')
  while (server.pid === pid) await new Promise((resolve) => setTimeout(resolve, 20))
}
