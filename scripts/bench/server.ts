import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

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

/** Starts `file`, which calls `serveParent`, with words of its own; answers when it listens. */
export async function startServer(file: URL, ...words: string[]): Promise<Server> {
  const child = fork(file, words, { execArgv: ['--max-semi-space-size=8'] })
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
    if (asked === 'cpu') {
      const { user, system } = process.cpuUsage()
      process.send?.((user + system) / 1_000)
      return
    }
    await stop()
    process.exit(0)
  })
  // Without its parent nobody measures it any more.
  process.on('disconnect', () => process.exit(0))
  process.send?.({ url, facts })
}
