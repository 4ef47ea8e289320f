import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { onTestFinished } from 'vitest'
import { type Program, startProgram } from '../../scripts/demo/program.ts'
import { databaseUrlOf } from '../db/fixture.ts'
import type { World } from '../world.ts'

/** The master key of `contextOf`, so that processes open what the world has sealed. */
const masterKey = Buffer.alloc(32, 7).toString('base64')

/** A process of one role on the world's database, or by another way to it; it goes with its test. */
export async function aProcess(
  world: World,
  role: 'api' | 'worker',
  env: Record<string, string> = {},
): Promise<Program> {
  const program = await startProgram({ dataDir: tmpdir(), role, env: { ...envOf(world), ...env } })
  onTestFinished(() => program.end('SIGKILL'))
  return program
}

export function envOf(world: World): Record<string, string> {
  return {
    DATABASE_URL: databaseUrlOf(world),
    UBOS_MASTER_KEY: masterKey,
    UBOS_PROFILE: 'development',
  }
}

/** Lets the first tenant ask so much that no quota is met. */
export async function liftLimits(world: World): Promise<void> {
  const much = { quota: 1_000_000, windowSeconds: 10 }
  await world.query(
    `insert into tenant_limit
      select distinct tenant_id, $1::jsonb, 2, now() from api_key`,
    [JSON.stringify({ key: { read: much, write: much }, tenant: { read: much, write: much } })],
  )
}

/** A status, or what happened to a call that was not answered. */
export type Answered = { status: number; body: string } | { failed: string }

/** One caller with connections of its own that are kept alive; it tries nothing twice. */
export function aCaller() {
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  return (url: string, key?: string, body?: unknown): Promise<Answered> =>
    new Promise((resolve) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const sent = request(url, {
        agent,
        method: text === undefined ? 'GET' : 'POST',
        headers: {
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
      })
      sent.on('error', ({ message }) => resolve({ failed: message }))
      sent.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', ({ message }) => resolve({ failed: message }))
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, body: String(Buffer.concat(chunks)) })
        })
      })
      sent.end(text)
    })
}

/** Hands calls out in turn to whoever said at the last look that it is ready, as balancers do. */
export function aBalancer(lookEveryMs = 50) {
  const call = aCaller()
  const targets = new Map<string, boolean>()
  let turn = 0
  const looking = setInterval(() => {
    for (const url of targets.keys()) void look(url)
  }, lookEveryMs)
  onTestFinished(() => clearInterval(looking))

  async function look(url: string): Promise<void> {
    const answer = await call(`${url}/readyz`)
    if (targets.has(url)) targets.set(url, 'status' in answer && answer.status === 200)
  }

  return {
    async add(url: string): Promise<void> {
      targets.set(url, false)
      await look(url)
    },
    remove: (url: string) => targets.delete(url),
    isReady: (url: string) => targets.get(url) === true,
    next(): string {
      const ready = [...targets].filter(([, isReady]) => isReady).map(([url]) => url)
      turn += 1
      const url = ready[turn % ready.length]
      if (url === undefined) throw new Error('nobody is ready')
      return url
    },
  }
}
