import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import type { Place } from './home.ts'

/** The log is renamed at a start when it is larger than this, and only one old one is kept. */
const logBytesMax = 10 * 1024 * 1024

/** Ours decides nothing: `LD_LIBRARY_PATH` and `PG…` of the operator's shell must not leak in. */
const environment = { PATH: '/usr/bin:/bin', TZ: 'UTC', LC_ALL: 'C' }

export interface Launched {
  readonly child: ChildProcess
  /** What has been written to the log since. */
  output(): string
}

/**
 * Runs a program of Postgres as the server's user, in a session of its own, so that neither Ctrl-C
 * nor our death reaches it. It writes to the log file: a pipe would be held open by its children.
 */
export async function launch(
  place: Place,
  [program, ...args]: readonly [string, ...string[]],
): Promise<Launched> {
  rotateLog(place.log)
  const log = openSync(place.log, 'a', 0o600)
  const start = fstatSync(log).size
  const child = spawn(program, args, {
    ...(place.user && { uid: place.user.uid, gid: place.user.gid }),
    cwd: place.home,
    env: environment,
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  await once(child, 'spawn')
  return { child, output: () => readFileSync(place.log).subarray(start).toString() }
}

function rotateLog(log: string): void {
  const size = statSync(log, { throwIfNoEntry: false })?.size ?? 0
  if (size > logBytesMax) renameSync(log, `${log}.1`)
}

/** The line that tells why a program ended: its last error, else its last words. Pure. */
export function lastWords(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  const errors = lines.map((line) => /(?:FATAL|PANIC|error): +(.*)/.exec(line)?.[1])
  return errors.findLast((error) => error !== undefined) ?? lines.at(-1) ?? 'it ended silently'
}
