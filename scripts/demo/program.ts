import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const doorstep = fileURLToPath(new URL('../../src/doorstep.js', import.meta.url))

/** The program in a process of its own, with a data directory that outlives it. */
export interface Program {
  url: string
  /** The keys that the first start printed; later ones print none. */
  operatorKey: string | undefined
  sandboxKey: string | undefined
  /** From spawn to "Ready", in ms. */
  readyMs: number
  child: ChildProcess
  /** Ends it, and waits until it is gone. */
  end(signal: NodeJS.Signals): Promise<void>
}

export interface ProgramOptions {
  dataDir: string
  role?: 'all' | 'api' | 'worker'
  env?: Record<string, string>
}

/** Starts the program and waits until it says that it is ready; throws what it said if it ends. */
export async function startProgram({
  dataDir,
  role = 'all',
  env = {},
}: ProgramOptions): Promise<Program> {
  const startedMs = performance.now()
  const child = spawn(process.execPath, [doorstep, role], {
    env: { ...process.env, PORT: '0', ADMIN_PORT: '0', UBOS_DATA_DIR: dataDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said: string[] = []
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line))
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      said.push(line)
      if (line.startsWith('Ready')) resolve()
    })
    child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${said.join('\n')}`)))
  })
  const text = said.join('\n')
  return {
    url: /http:\/\/\S+/.exec(text)?.[0] ?? '',
    operatorKey: /ubk_op_\w+/.exec(text)?.[0],
    sandboxKey: /ubk_test_\w+/.exec(text)?.[0],
    readyMs: performance.now() - startedMs,
    child,
    async end(signal) {
      child.kill(signal)
      await exited
    },
  }
}

/** The process of the embedded Postgres of a data directory. */
export function postgresOf(dataDir: string): number {
  const [line] = readFileSync(join(dataDir, 'data', 'postmaster.pid'), 'utf8').split('\n')
  return Number(line)
}
