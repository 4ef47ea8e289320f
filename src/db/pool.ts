import pg from 'pg'
import type { Log } from '#log.ts'
import { Client, type ClientOptions } from './client.ts'

/** As whom a connection works: inside one tenant, or across them (sequencer, dispatcher, sweepers). */
export type DatabaseRole = 'ubos_api' | 'ubos_worker'

/** Time-outs by role, in ms. A stopped process holds nobody longer than this. */
const timeouts = {
  ubos_api: { statement: 5_000, lock: 2_000, idleInTransaction: 5_000 },
  ubos_worker: { statement: 60_000, lock: 2_000, idleInTransaction: 5_000 },
} as const

/** Beyond the longest statement: a server that has not even said that it gave up is gone. */
const silenceMarginMs = 1_000

const types = new pg.TypeOverrides()
// A date is a day, not a moment: as text it cannot slip into the neighbouring one.
types.setTypeParser(pg.types.builtins.DATE, (text) => text)

/** How a pool differs from others of its role. */
export interface PoolOptions {
  log?: Log
  /** Its commits do not wait for the disk: a crash of the server may undo the last of them. */
  isHasty?: boolean
}

/** Connection settings of one role; the role and its time-outs come with the connection. */
export function connectionOptions(
  databaseUrl: string,
  role: DatabaseRole,
  isHasty = false,
): ClientOptions {
  const limits = timeouts[role]
  return {
    connectionString: databaseUrl,
    application_name: role,
    connectionTimeoutMillis: 5_000,
    silenceMsMax: limits.statement + silenceMarginMs,
    keepAlive: true,
    pipeline: true,
    types,
    options: [
      `-c role=${role}`,
      `-c statement_timeout=${limits.statement}`,
      `-c lock_timeout=${limits.lock}`,
      `-c idle_in_transaction_session_timeout=${limits.idleInTransaction}`,
      '-c timezone=UTC',
      ...(isHasty ? ['-c synchronous_commit=off'] : []),
    ].join(' '),
  }
}

/** A pool of clients that are checked out one transaction at a time. */
export function createPool(
  databaseUrl: string,
  role: DatabaseRole,
  max: number,
  { log, isHasty }: PoolOptions = {},
): pg.Pool {
  const pool = new pg.Pool({
    Client,
    ...connectionOptions(databaseUrl, role, isHasty),
    max,
    idleTimeoutMillis: 30_000,
  })
  // What is idle tells the pool, which would end the process likewise.
  pool.on('error', ({ message }) => log?.warn({ role, message }, 'idle connection lost'))
  // The clients hear for themselves; graphile-worker looks whether anybody does.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}
