import pg from 'pg'
import { type Owing, watchSilence } from './silence.ts'

export interface ClientOptions extends pg.ClientConfig {
  /** How long a server that owes an answer may say nothing; beyond that it is gone. */
  silenceMsMax?: number
}

/**
 * A client that never gives its password away: a server that asks for it in the clear, on a
 * connection that is not encrypted, is not ours. (Whoever takes the port of a crashed server could
 * ask.) By SCRAM the server proves that it knows the password, too.
 * Nor does it wait for a server that is not there: `silence.ts`.
 */
export class Client extends pg.Client {
  constructor(config?: string | ClientOptions) {
    super(config)
    // One that loses its server emits `error`, idle or not; unheard, that would end the process.
    this.on('error', () => undefined)
    const { connection } = this as unknown as { connection: Connection }
    const silenceMsMax = typeof config === 'object' ? config.silenceMsMax : undefined
    if (silenceMsMax !== undefined) watchSilence(this, connection, silenceMsMax)
    if (this.ssl) return
    // `pg` adds its own listener when it connects, so this one comes first.
    connection.on('authenticationCleartextPassword', () => {
      Object.assign(this, { password: '' })
      connection.stream.destroy(new Error('the server asked for the password in the clear'))
    })
  }
}

/**
 * Lets everything that `queue` queues on a client go out in one write: `pg` itself makes one, and so
 * one call of the operating system and one wake-up of the server, for every message.
 */
export function inOneWrite<Queued>(client: pg.ClientBase, queue: () => Queued): Queued {
  const { stream } = (client as unknown as { connection: Connection }).connection
  stream.cork()
  try {
    return queue()
  } finally {
    stream.uncork()
  }
}

/**
 * The cause of a failed flush, of which the last is the commit where `commits`; undefined when it went
 * through. 25P02 only says that something before it failed.
 */
export function firstFailure(
  outcome: readonly PromiseSettledResult<unknown>[],
  commits = true,
): unknown {
  const failures = outcome.filter((settled) => settled.status === 'rejected')
  const cause = failures.find(({ reason }) => reason?.code !== '25P02') ?? failures[0]
  if (cause !== undefined) return cause.reason
  const last = outcome.at(-1)
  const command = last?.status === 'fulfilled' && (last.value as pg.QueryResult).command
  return !commits || command === 'COMMIT' ? undefined : new Error(`commit answered ${command}`)
}

interface Connection extends Owing {
  on(event: string, listener: () => void): void
  stream: Owing['stream'] & { cork(): void; uncork(): void }
}
