import { setTimeout as sleep } from 'node:timers/promises'
import { lastWords, launch } from './launch.ts'
import { readPidFile } from './pid-file.ts'
import { commandOf, type Server } from './server.ts'

/** How a start went; every ending but `failed` may be another one's doing and worth another try. */
export type Start =
  | { readonly is: 'ready'; readonly pid: number }
  | { readonly is: 'locked' | 'port taken' | 'memory in use' | 'failed'; readonly line: string }

/** Starts a server and waits until it accepts sessions or has ended. */
export async function spawnServer(
  server: Server,
  port: number,
  patience: AbortSignal,
): Promise<Start> {
  const { child, output } = await launch(server.place, commandOf(server, port))
  child.unref()
  while (child.exitCode === null && child.signalCode === null) {
    const pidFile = readPidFile(server.place.data)
    if (typeof pidFile === 'object' && pidFile.pid === child.pid && pidFile.state === 'ready') {
      return { is: 'ready', pid: child.pid }
    }
    await sleep(5, undefined, { signal: patience })
  }
  return diagnose(output())
}

/** Tells from the log why a server ended before it was ready. Pure. */
export function diagnose(output: string): Start {
  const line = lastWords(output)
  if (/lock file ".*" (already exists|is empty)/.test(line)) return { is: 'locked', line }
  if (/shared memory block .* is still in use/.test(line)) return { is: 'memory in use', line }
  if (/could not bind .* Address already in use/.test(output)) return { is: 'port taken', line }
  return { is: 'failed', line }
}
