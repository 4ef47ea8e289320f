/**
 * *Postgres at hand* is the server that UBOS brings along when no `DATABASE_URL` names another one.
 * Its *place* is a home directory and a user; a process *acquires* it there by starting it or by
 * *adopting* the one that runs, and *joins* its users by a shared advisory lock, so that the last
 * to leave stops it. The server outlives us: after a kill -9 the next start adopts it.
 * Promised: one server per directory, no signal to a stranger, no half-made directory in use.
 */
import { copyBinaries } from './binaries.ts'
import { sweepDrafts } from './files.ts'
import { preparePlace } from './home.ts'
import { initialise } from './initialise.ts'
import { keep } from './keep.ts'
import { explain } from './refusal.ts'
import type { Server } from './server.ts'
import { ownerUrl } from './session.ts'

export { PostgresRefusal } from './refusal.ts'

export interface PostgresAtHand {
  /** The superuser's address, with the password; only migrate and tests use it. */
  readonly ownerUrl: string
  /** Stays the same when the server is started again. */
  readonly port: number
  readonly pid: number
  /** `started` by us now, or `adopted`: it ran when we came. */
  readonly origin: 'started' | 'adopted'
  /** Where data, password, port and log live. */
  readonly home: string
  /** Stops the server if no other process uses it. Never throws; a second call joins the first. */
  stop(options?: { deadlineMs?: number }): Promise<'stopped' | 'left'>
}

export interface AtHandOptions {
  /** The configured directory, absolute; root may be given another one, see `choosePlace`. */
  readonly home: string
  /** Receives what an operator should know, a line at a time. */
  readonly say: (line: string) => void
  /** Settings of `postgresql.conf` beyond, or instead of, ours. */
  readonly settings?: Readonly<Record<string, string>>
}

const stopMsMax = 10_000

/** Brings the server up, or finds it up. Throws `PostgresRefusal` when the operator must act. */
export async function startPostgres(options: AtHandOptions): Promise<PostgresAtHand> {
  try {
    const server = await prepare(options)
    const keeper = await keep(server)
    let stopped: Promise<'stopped' | 'left'> | undefined
    return {
      home: server.place.home,
      origin: keeper.held().origin,
      get port() {
        return keeper.held().port
      },
      get pid() {
        return keeper.held().pid
      },
      get ownerUrl() {
        return ownerUrl(keeper.held().port, server.password)
      },
      stop({ deadlineMs = stopMsMax } = {}) {
        stopped ??= keeper.release(deadlineMs)
        return stopped
      },
    }
  } catch (error) {
    throw explain(error, options.home)
  }
}

async function prepare({ home, say, settings = {} }: AtHandOptions): Promise<Server> {
  const place = preparePlace(home)
  if (place.user) say(`Postgres runs as the user ${place.user.name}; its home is ${place.home}.`)
  await sweepDrafts(place.home)
  const binaries = await copyBinaries(place.home)
  const password = await initialise(place, binaries)
  return { place, program: binaries.postgres, password, settings, say }
}
