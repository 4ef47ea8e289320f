import { setTimeout as sleep } from 'node:timers/promises'
import { acquire } from './acquire.ts'
import type { Held, Server } from './server.ts'
import { closeSession, leaveUsers } from './session.ts'
import { stopServer } from './stop.ts'

const minuteMs = 60_000
/** The first restart is immediate: Postgres recovers well. A third failure is no accident. */
const restartDelaysMs = [0, 1000, 5000]

/** A server that is held, and held again whenever it is lost. */
export interface Keeper {
  held(): Held
  release(deadlineMs: number): Promise<'stopped' | 'left'>
}

/**
 * Acquires the server and keeps it running. Our session on it is the watchman: it ends when the
 * server does, whoever started that, and then the server is acquired again on the same port.
 */
export async function keep(server: Server): Promise<Keeper> {
  const stopping = new AbortController()
  let held = await acquire(server, stopping.signal)
  let restarts: number[] = []
  let repair = Promise.resolve()

  const watch = () => {
    held.session.once('end', () => {
      if (!stopping.signal.aborted) repair = holdAgain()
    })
  }
  const holdAgain = async () => {
    server.say('Postgres ended unexpectedly: starting it again.')
    for (;;) {
      try {
        restarts = restarts.filter((time) => Date.now() - time < minuteMs)
        await sleep(restartDelayMs(restarts, Date.now()), undefined, { signal: stopping.signal })
        restarts.push(Date.now())
        held = await acquire(server, stopping.signal, held.port)
        server.say(`Postgres runs again, as process ${held.pid} on port ${held.port}.`)
        return watch()
      } catch (error) {
        if (stopping.signal.aborted) return
        server.say(error instanceof Error ? error.message : String(error))
      }
    }
  }

  watch()
  return {
    held: () => held,
    async release(deadlineMs) {
      stopping.abort()
      await repair
      return leave(server, held, deadlineMs)
    },
  }
}

/** At most three restarts a minute: a server that cannot live shall not fill the log. Pure. */
export function restartDelayMs(restartsOfLastMinute: readonly number[], now: number): number {
  const [oldest = now] = restartsOfLastMinute.slice(-restartDelaysMs.length)
  return restartDelaysMs[restartsOfLastMinute.length] ?? oldest + minuteMs - now
}

async function leave(server: Server, held: Held, deadlineMs: number): Promise<'stopped' | 'left'> {
  const { data } = server.place
  try {
    if ((await leaveUsers(held.session)) === 'others stay') return 'left'
    if (await stopServer(data, deadlineMs)) return 'stopped'
    server.say(`Postgres (process ${held.pid}) has not ended yet: the next start will wait for it.`)
    return 'left'
  } catch {
    // Our session is gone: another user stopped the server first, or nobody can tell who uses it.
    return 'left'
  } finally {
    closeSession(held.session)
  }
}
