import { setTimeout as sleep } from 'node:timers/promises'
import { isCode } from './files.ts'
import { findServer } from './identity.ts'

/**
 * Sends the fast stop (SIGINT) and waits until the server has ended; false when the deadline comes
 * first. The server is looked up again, so that the signal never reaches a stranger. It is never
 * SIGKILL, which would leave backends that write without their server.
 */
export async function stopServer(data: string, deadlineMs: number): Promise<boolean> {
  const found = findServer(data)
  if (found.is !== 'running') return true
  signalFastStop(found.pidFile.pid)
  const giveUpAt = Date.now() + deadlineMs
  while (isRunning(data, found.pidFile.pid)) {
    if (Date.now() > giveUpAt) return false
    await sleep(5)
  }
  return true
}

function isRunning(data: string, pid: number): boolean {
  const found = findServer(data)
  return found.is === 'running' && found.pidFile.pid === pid
}

function signalFastStop(pid: number): void {
  try {
    process.kill(pid, 'SIGINT')
  } catch (error) {
    if (!isCode(error, 'ESRCH')) throw error
  }
}
