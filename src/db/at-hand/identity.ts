import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type PidFile, readPidFile } from './pid-file.ts'

/** What the system says of a process. */
export interface ProcessFacts {
  readonly isZombie: boolean
  /** Its arguments in the form of `commandLine`. */
  readonly command: string
}

/** What the pid file and the process that it names make together. */
export type Finding =
  | { readonly is: 'absent' | 'unwritten' }
  | { readonly is: 'foreign'; readonly pid: number }
  | { readonly is: 'running'; readonly pidFile: PidFile; readonly command: string }

/** Linux keeps the arguments apart; `ps`, the only way to see them on macOS, joins them. */
const separator = process.platform === 'linux' ? '\0' : ' '

/** A command as `ProcessFacts` shows it. */
export function commandLine(argv: readonly string[]): string {
  return argv.join(separator)
}

/**
 * Whom does a pid file speak of? A pid alone proves nothing: containers give a dead server's pid to
 * the next process, and a killed server that nobody reaped keeps its own. Both are `foreign`. Pure.
 */
export function judge(
  pidFile: PidFile | 'unwritten' | undefined,
  facts: ProcessFacts | undefined,
  data: string,
): Finding {
  if (pidFile === 'unwritten') return { is: 'unwritten' }
  if (pidFile === undefined || facts === undefined) return { is: 'absent' }
  const isOurs = facts.command.includes(commandLine(['postgres', '-D', data, '']))
  if (facts.isZombie || !isOurs) return { is: 'foreign', pid: pidFile.pid }
  return { is: 'running', pidFile, command: facts.command }
}

export function findServer(data: string): Finding {
  const pidFile = readPidFile(data)
  const facts = typeof pidFile === 'object' ? readProcess(pidFile.pid) : undefined
  return judge(pidFile, facts, data)
}

function readProcess(pid: number): ProcessFacts | undefined {
  return process.platform === 'linux' ? readProc(pid) : readPs(pid)
}

function readProc(pid: number): ProcessFacts | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const state = stat.slice(stat.lastIndexOf(')') + 2)
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0$/, '')
    return { isZombie: state.startsWith('Z'), command }
  } catch {
    return undefined
  }
}

function readPs(pid: number): ProcessFacts | undefined {
  const { stdout } = spawnSync('/bin/ps', ['-ww', '-o', 'stat=,command=', '-p', String(pid)], {
    encoding: 'utf8',
  })
  const found = /^(\S+)\s+(.*)$/m.exec(stdout)
  return found
    ? { isZombie: found[1]?.startsWith('Z') ?? false, command: found[2] ?? '' }
    : undefined
}

/** Names the processes at work in a data directory, where the system tells (Linux). */
export function processesIn(data: string): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        return pid > 0 && readlinkSync(`/proc/${pid}/cwd`) === data
      } catch {
        return false
      }
    })
}
