import { setTimeout as sleep } from 'node:timers/promises'
import { adopt, type Running } from './adopt.ts'
import { findServer, processesIn } from './identity.ts'
import { disownPidFile, removeUnwrittenPidFile } from './pid-file.ts'
import { newPort, rememberedPort, rememberPort } from './port.ts'
import { PostgresRefusal, refusalOf } from './refusal.ts'
import type { Held, Server } from './server.ts'
import { spawnServer } from './spawn.ts'

/** Recovery, another process's start or stop, an orphaned backend: all are waited for, so long. */
const patienceMs = 60_000
const noticeMs = 2000
const pauseMs = 100
const portTriesMax = 3

/** What is remembered from try to try. */
interface Search {
  port: number
  portTriesLeft: number
  startedPid: number | undefined
  trouble: string
}

/**
 * Comes to hold the server of this place: adopts the one that runs, or starts one. Each try begins
 * with a fresh look, because other processes may be doing the same at the same time.
 * With a `fixedPort` no other is tried: pools that know the old address cannot follow to a new one.
 */
export async function acquire(
  server: Server,
  stopping: AbortSignal,
  fixedPort?: number,
): Promise<Held> {
  const patience = AbortSignal.any([stopping, AbortSignal.timeout(patienceMs)])
  const search: Search = {
    port: fixedPort ?? rememberedPort(server.place.home) ?? newPort(),
    portTriesLeft: fixedPort === undefined ? portTriesMax : 1,
    startedPid: undefined,
    trouble: 'it is still starting or stopping',
  }
  const notice = setTimeout(() => {
    server.say('Postgres is recovering, starting or stopping: waiting for up to a minute.')
  }, noticeMs)
  try {
    for (;;) {
      const held = await tryOnce(server, search, patience)
      if (held) return held
      await sleep(pauseMs, undefined, { signal: patience })
    }
  } catch (error) {
    throw patience.aborted ? refusalOf(search.trouble, server.place.home) : error
  } finally {
    clearTimeout(notice)
  }
}

/** Undefined: not yet. */
async function tryOnce(
  server: Server,
  search: Search,
  patience: AbortSignal,
): Promise<Held | undefined> {
  const { data } = server.place
  const found = findServer(data)
  if (found.is === 'running') return tryToAdopt(server, search, found)
  if (found.is === 'unwritten') {
    removeUnwrittenPidFile(data)
    return undefined
  }
  if (found.is === 'foreign') disownPidFile(data, found.pid)
  const isReady = await tryToStart(server, search, patience)
  return isReady ? tryOnce(server, search, patience) : undefined
}

async function tryToAdopt(
  server: Server,
  search: Search,
  running: Running,
): Promise<Held | undefined> {
  const { pid, port } = running.pidFile
  try {
    const session = await adopt(server, running)
    if (session === undefined) return undefined
    return { session, pid, port, origin: pid === search.startedPid ? 'started' : 'adopted' }
  } catch (error) {
    if (error instanceof PostgresRefusal) throw error
    search.trouble = `it runs as process ${pid}, but ${error}`
    return undefined
  }
}

/** False when the trouble may pass; throws for any other. */
async function tryToStart(server: Server, search: Search, patience: AbortSignal): Promise<boolean> {
  const { home, data } = server.place
  const start = await spawnServer(server, search.port, patience)
  switch (start.is) {
    case 'ready':
      search.startedPid = start.pid
      rememberPort(home, search.port)
      return true
    case 'failed':
      throw refusalOf(start.line, home)
    case 'port taken':
      search.portTriesLeft -= 1
      if (search.portTriesLeft === 0) throw refusalOf(`port ${search.port} is taken`, home)
      search.port = newPort()
      return false
    case 'memory in use':
      search.trouble = `${start.line} by the processes: ${processesIn(data).join(', ')}`
      return false
    case 'locked':
      search.trouble = start.line
      return false
  }
}
