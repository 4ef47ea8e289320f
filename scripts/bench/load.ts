import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Server } from './server.ts'

/**
 * What is asked, again and again, by so many connections at once, each of which waits for its answer.
 * `{n}` in a path, a header or the body is a number of 12 digits, another one in each request.
 */
export interface Load {
  url: string
  method?: 'GET' | 'POST'
  /** Taken in turns. */
  paths: readonly string[]
  headers?: Record<string, string>
  body?: string
  connections: number
  seconds: number
}

export interface LoadFigures {
  perSecond: number
  p50Ms: number
  p99Ms: number
}

/** Puts load on a server from a process of its own. Throws when an answer is no success. */
export async function measureLoad(load: Load): Promise<LoadFigures> {
  const child = loader()
  child.send(load)
  const [answer] = (await once(child, 'message')) as [LoadFigures | { error: string }]
  if ('error' in answer) throw new Error(`${load.url}${load.paths[0]}: ${answer.error}`)
  return answer
}

/** The same, with the CPU time that the server took for each answer. */
export async function measureServer(
  { url, cpuMs }: Server,
  load: Omit<Load, 'url'>,
): Promise<LoadFigures & { cpuMicros: number }> {
  const before = await cpuMs()
  const figures = await measureLoad({ url, ...load })
  const usedMs = (await cpuMs()) - before
  return { ...figures, cpuMicros: (usedMs * 1_000) / (figures.perSecond * load.seconds) }
}

let started: ChildProcess | undefined

/** One process for all load; it ends with this one. */
function loader(): ChildProcess {
  started ??= fork(new URL('load-process.ts', import.meta.url))
  // It keeps nobody from ending.
  started.unref()
  started.channel?.unref()
  return started
}
