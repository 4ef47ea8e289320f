import type { Client } from 'pg'
import type { Place } from './home.ts'

/** Everything that is needed to start the server, however often. */
export interface Server {
  readonly place: Place
  /** The path of the program `postgres`. */
  readonly program: string
  readonly password: string
  readonly settings: Readonly<Record<string, string>>
  readonly say: (line: string) => void
}

/** A running server, and the session that counts us among its users. */
export interface Held {
  readonly session: Client
  readonly pid: number
  readonly port: number
  readonly origin: 'started' | 'adopted'
}

/** Every other default stays, above all those that make a commit durable. */
const defaultSettings: Readonly<Record<string, string>> = {
  shared_buffers: '256MB',
  max_connections: '100',
  max_wal_size: '2GB',
  wal_compression: 'pglz',
  // Their shared memory is what small containers lack and what a log-out removes.
  max_parallel_workers_per_gather: '0',
  client_connection_check_interval: '1s',
  log_checkpoints: 'off',
  // A refused statement is an ordinary answer here, and whoever sent it knows; the log would grow.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  timezone: 'UTC',
  log_timezone: 'UTC',
  max_prepared_transactions: '0',
}

/** The server's command. The directory comes first: `identity.ts` recognises the server by it. */
export function commandOf(server: Server, port: number): [string, ...string[]] {
  const settings = Object.entries({ ...defaultSettings, ...server.settings })
  return [
    server.program,
    // TCP on the loopback address only: the path of a Unix socket may not exceed 107 bytes.
    ...['-D', server.place.data, '-p', String(port), '-h', '127.0.0.1', '-k', ''],
    ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
}
