import type { Client } from 'pg'
import { commandLine, type Finding } from './identity.ts'
import { commandOf, type Server } from './server.ts'
import { closeSession, joinUsers, leaveUsers, openSession } from './session.ts'
import { stopServer } from './stop.ts'

export type Running = Extract<Finding, { is: 'running' }>

/** A server that is replaced may have much to write first. */
const replaceMsMax = 30_000

/**
 * Joins the users of a running server. Undefined when it is not there to be used now: it is
 * starting or stopping, or has been stopped here because it ran with other options. Throws what
 * `openSession` throws, also when the server ends meanwhile.
 */
export async function adopt(server: Server, running: Running): Promise<Client | undefined> {
  const { pidFile, command } = running
  if (pidFile.state !== 'ready') return undefined
  const session = await openSession(server.place.data, pidFile, server.password)
  try {
    const isAsWanted = command === commandLine(commandOf(server, pidFile.port))
    if (!isAsWanted && (await replace(server, session))) return undefined
    await joinUsers(session)
    return session
  } catch (error) {
    closeSession(session)
    throw error
  }
}

/** Stops a server of another version or with other options, unless somebody uses it. */
async function replace(server: Server, session: Client): Promise<boolean> {
  if ((await leaveUsers(session)) === 'others stay') {
    server.say('Postgres runs with other options, and goes on so: another process uses it.')
    return false
  }
  server.say('Postgres runs with other options, and nobody uses it: starting it anew.')
  await stopServer(server.place.data, replaceMsMax)
  return true
}
