import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { openDoor } from '#app.ts'
import { createClock } from '#clock.ts'
import { routes } from '#generated/routes.ts'
import { mount } from '#http/mount.ts'
import type { Handlers } from '#http/operation.ts'
import { createServer } from '#http/server.ts'
import { operations } from '#operations.ts'
import type { Api, World } from '../world.ts'

/** Sends bytes to a server and answers all that comes back until it closes the connection. */
export function exchange(url: string, bytes: string | Buffer): Promise<RawReply> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    socket.setTimeout(5_000, () => socket.destroy(new Error('no answer in 5 s')))
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(parse(Buffer.concat(chunks).toString())))
  })
}

export interface RawReply {
  status: number
  headers: Record<string, string>
  text: string
}

function parse(answer: string): RawReply {
  const [head = '', ...rest] = answer.split('\r\n\r\n')
  const [statusLine = '', ...lines] = head.split('\r\n')
  const headers = lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: Object.fromEntries(headers),
    text: rest.join('\r\n\r\n'),
  }
}

/** A request line with the headers that close the connection after the answer. */
export function requestText(line: string, headers: Record<string, string> = {}, body = ''): string {
  const all = { host: 'test', connection: 'close', ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return `${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`
}

/** A handler as loose as its author: nothing stops it from saying what the contract does not. */
type Misbehaving = Partial<Record<keyof Handlers, (...args: never[]) => Promise<unknown>>>

/** The API of `world`, in which some handlers do not do what their types say. */
export async function startMisbehaving({ ctx }: World, handlers: Misbehaving) {
  const door = openDoor(ctx)
  const all = Object.values(routes)
  const app: FastifyInstance = createServer(ctx, all)
  const table = { ...operations, ...handlers } as unknown as Handlers
  mount(app, door, all, table)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url,
    async stop() {
      await app.close()
      await door.close()
    },
  }
}

/** A clock that stands still until it is moved. */
export function stoppedClock() {
  let nowMs = Date.now()
  return {
    clock: createClock(() => new Date(nowMs)),
    step(ms: number) {
      nowMs += ms
    },
  }
}

/** What each key of a tenant may spend, where a test is to see it spent. */
export const fewCalls = { quota: 200, windowSeconds: 10 }

/** Lets each key of a tenant spend `fewCalls`, from its first use on. */
export async function limitKeys(world: World, api: Api): Promise<void> {
  const { tenant } = (await api.get('/api/v1/me')).body
  await world.query('insert into tenant_limit values ($1, $2, 2, now())', [
    tenant.id,
    JSON.stringify({ key: { read: fewCalls, write: fewCalls } }),
  ])
}

/** Calls with a key of `limitKeys`, while the clock stands still, until it may not: that refusal. */
export async function exhaust(url: string, key: string, kind: 'read' | 'write' = 'read') {
  const headers = { authorization: `Bearer ${key}` }
  const nobody = `/api/v1/clients/cli_${'0'.repeat(26)}`
  const call = () =>
    kind === 'read'
      ? fetch(`${url}/api/v1/me`, { headers })
      : fetch(url + nobody, { headers, method: 'DELETE' })
  for (let calls = 0; calls <= fewCalls.quota; calls += 50) {
    const replies = await Promise.all(Array.from({ length: 50 }, call))
    const refused = replies.find(({ status }) => status === 429)
    await Promise.all(replies.map((reply) => (reply === refused ? undefined : reply.text())))
    if (refused) return refused
  }
  throw new Error('a whole quota and more was not too much')
}
