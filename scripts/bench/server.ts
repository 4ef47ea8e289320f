import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { startFlags } from './flags.ts'

/** A server that is measured: a process of its own, so that it shares nothing with the load. */
export interface Server extends AsyncDisposable {
  url: string
  /** What it found out while it started, for who measures it. */
  facts: Record<string, string>
  /** CPU time that the process has used so far, in ms. */
  cpuMs(): Promise<number>
  child: ChildProcess
}

type Asked = 'cpu' | 'stop'

export interface ServerOptions {
  /** What the process finds in `process.argv` behind its own name. */
  words?: readonly string[]
  /** Where Node keeps what it compiled; it keeps nothing when left out. */
  compileCache?: string | undefined
}

/** Starts `file`, which calls `serveParent`, as `npm start` starts the product; then it listens. */
export async function startServer(
  file: URL,
  { words = [], compileCache }: ServerOptions = {},
): Promise<Server> {
  const cache = compileCache
    ? { NODE_COMPILE_CACHE: compileCache }
    : { NODE_DISABLE_COMPILE_CACHE: '1' }
  const child = fork(file, words, {
    execArgv: startFlags,
    env: { ...process.env, ...cache },
  })
  const said = once(child, 'message') as Promise<[{ url: string; facts: Record<string, string> }]>
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`${file.pathname} ${words.join(' ')} ended with ${code}`)
  })
  died.catch(() => undefined)
  const [{ url, facts }] = await Promise.race([said, died])
  return {
    url,
    facts,
    child,
    async cpuMs() {
      child.send('cpu' satisfies Asked)
      const [answer] = await Promise.race([once(child, 'message'), died])
      return Number(answer)
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.send('stop' satisfies Asked)
      await gone
    },
  }
}

/** In the process of a server: says where it listens, and does as it is asked. */
export function serveParent(
  url: string,
  stop: () => Promise<unknown>,
  facts: Record<string, string> = {},
): void {
  process.on('message', async (asked: Asked) => {
    if (asked === 'stop') {
      await stop()
      process.exit(0)
    }
    const { user, system } = process.cpuUsage()
    if (asked === 'cpu') process.send?.((user + system) / 1_000)
  })
  // Without its parent nobody measures it any more.
  process.on('disconnect', () => process.exit(0))
  process.send?.({ url, facts })
}
