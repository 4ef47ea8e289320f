import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { isCode } from './files.ts'

/** What a running server writes into `postmaster.pid`, as far as we use it. */
export interface PidFile {
  readonly pid: number
  readonly startedAtSeconds: number
  readonly port: number
  /** `starting`, `ready`, `stopping`; empty at first. */
  readonly state: string
}

/** No process has the largest pid_t: a pid file that names it is stale for certain. */
const nobodysPid = 2_147_483_647

/** A file that is older than this and still without its lines is no start in progress. */
const unwrittenMsMax = 1000

const pathOf = (data: string) => join(data, 'postmaster.pid')

/** A file that is empty or garbled is `unwritten`. Pure. */
export function parsePidFile(text: string): PidFile | 'unwritten' {
  const lines = text.split('\n').map((line) => line.trim())
  // A standalone backend (`postgres --single`) writes its pid as a negative number.
  const pid = Math.abs(Number(lines[0] || Number.NaN))
  if (!Number.isSafeInteger(pid) || lines.length < 6) return 'unwritten'
  return {
    pid,
    startedAtSeconds: Number(lines[2]),
    port: Number(lines[3]),
    state: lines[7] ?? '',
  }
}

export function readPidFile(data: string): PidFile | 'unwritten' | undefined {
  try {
    return parsePidFile(readFileSync(pathOf(data), 'utf8'))
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/**
 * Makes Postgres ignore the pid in a file whose process is not it. The file is not deleted, because
 * Postgres still looks up in it the shared memory that an orphaned backend may be using. It is read
 * again and written through one descriptor, so that a new server's file is never the one changed.
 */
export function disownPidFile(data: string, foreignPid: number): void {
  let fd: number
  try {
    fd = openSync(pathOf(data), 'r+')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return
    throw error
  }
  const text = readFileSync(fd, 'utf8')
  const pidFile = parsePidFile(text)
  if (pidFile !== 'unwritten' && pidFile.pid === foreignPid) {
    writeSync(fd, text.replace(/^-?\d+/, String(nobodysPid)), 0)
  }
  closeSync(fd)
}

/** Removes a file that a crash left unwritten; a fresh one is somebody's start in progress. */
export function removeUnwrittenPidFile(data: string): void {
  const file = statSync(pathOf(data), { throwIfNoEntry: false })
  if (file && Date.now() - file.mtimeMs > unwrittenMsMax) rmSync(pathOf(data), { force: true })
}
