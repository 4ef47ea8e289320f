import { Client } from '../client.ts'
import { isCode } from './files.ts'
import type { PidFile } from './pid-file.ts'
import { PostgresRefusal } from './refusal.ts'

/** 'UBOS' in ASCII: each process that uses the server holds this lock, shared, while it does. */
const usersLock = 0x55424f53

/** The pid file takes the time a moment before the clock that a session can ask. */
const startedSecondsSlack = 10

/** A server, or another user of it, that has been frozen must not freeze us. */
const answerMsMax = 10_000

export function ownerUrl(port: number, password: string): string {
  return `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
}

/** Opens a session on the very server that the pid file speaks of; throws for any other. */
export async function openSession(
  data: string,
  pidFile: PidFile,
  password: string,
): Promise<Client> {
  const session = new Client({
    connectionString: ownerUrl(pidFile.port, password),
    connectionTimeoutMillis: answerMsMax,
    query_timeout: answerMsMax,
    ssl: false,
  })
  // Whoever must know that a session is over listens to `end`; this keeps Node from throwing.
  session.on('error', () => {})
  try {
    await session.connect()
    await checkIdentity(session, data, pidFile)
    return session
  } catch (error) {
    closeSession(session)
    if (!isCode(error, '28P01')) throw error
    throw new PostgresRefusal(
      `The database in ${data} does not accept the password in ${data}/password: ` +
        'restore that file, or set DATABASE_URL.',
      { cause: error },
    )
  }
}

async function checkIdentity(session: Client, data: string, pidFile: PidFile): Promise<void> {
  const { rows } = await session.query<{ directory: string; startedAtSeconds: number }>(
    `select current_setting('data_directory') as directory,
       extract(epoch from pg_postmaster_start_time())::float8 as "startedAtSeconds"`,
  )
  const [server] = rows
  const isTheOne =
    server?.directory === data &&
    Math.abs(server.startedAtSeconds - pidFile.startedAtSeconds) < startedSecondsSlack
  if (!isTheOne) throw new Error(`Another server listens on port ${pidFile.port}`)
}

/** Counts us among the users. Waits while somebody is about to stop the server. */
export async function joinUsers(session: Client): Promise<void> {
  await session.query(`select pg_advisory_lock_shared(${usersLock})`)
}

/** Gives up our own share, and tells whether nobody else holds one; then nobody else can join. */
export async function leaveUsers(session: Client): Promise<'last' | 'others stay'> {
  await session.query('select pg_advisory_unlock_all()')
  const { rows } = await session.query<{ isLast: boolean }>(
    `select pg_try_advisory_lock(${usersLock}) as "isLast"`,
  )
  return rows[0]?.isLast ? 'last' : 'others stay'
}

export function closeSession(session: Client): void {
  session.end().catch(() => {})
}
