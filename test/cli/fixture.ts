import { spawn } from 'node:child_process'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'

/** The program as it is installed, run by a process of its own. */
export interface Cli {
  /** What it wrote to its output, line by line. */
  lines: string[]
  /** The same of `--json`. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read what they expect to be there
  told(): any[]
  errors(): string
  ended: Promise<number | null>
  interrupt(): void
}

export function startCli(words: readonly string[], key?: string): Cli {
  const { UBOS_API_KEY: _, ...env } = process.env
  const child = spawn(process.execPath, ['packages/cli/dist/cli.js', ...words], {
    env: { ...env, ...(key === undefined ? {} : { UBOS_API_KEY: key }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  let errors = ''
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  child.stderr.on('data', (piece) => {
    errors += piece
  })
  return {
    lines,
    told: () => lines.map((line) => JSON.parse(line)),
    errors: () => errors,
    ended: new Promise((resolve) => child.once('close', resolve)),
    interrupt: () => void child.kill('SIGINT'),
  }
}

/** Runs it to its end. */
export async function runCli(words: readonly string[], key?: string) {
  const cli = startCli(words, key)
  const code = await cli.ended
  return { code, output: cli.lines.join('\n'), errors: cli.errors(), told: cli.told }
}

/** A way to the API that breaks when it is told to. */
export async function aBrittleWay(to: string) {
  const { hostname, port } = new URL(to)
  const open = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(Number(port), hostname)
    for (const socket of [near, far]) {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => {
        open.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far)
    far.pipe(near)
  })
  const cut = () => {
    for (const socket of open) socket.destroy()
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    cut()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cut }
}
