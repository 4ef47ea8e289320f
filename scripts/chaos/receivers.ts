import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isWellSigned, type Secret } from './secrets.ts'

/** What came to one endpoint about one event. */
export interface Arrivals {
  /** How often it came, whole. */
  count: number
  /** How often it was taken, with a 2xx. */
  taken: number
  /** How often the connection was reset without an answer: then the sender may send again at once. */
  resets: number
  /** Of the first body, SHA-256. */
  digest: string
  /** Whether each body was the first one, byte by byte, and was signed as it had to be then. */
  isSame: boolean
  isSigned: boolean
  /** Each `webhook-id` that it came under. */
  readonly webhookIds: Set<string>
}

/** An endpoint as its owner sees it. */
export interface Watched {
  readonly tenantId: string
  readonly name: string
  url: string
  /** Known once the endpoint has been made, as its first secret is. */
  id: string
  readonly secrets: Secret[]
  /** Requests for other secrets, or fewer, that have no answer yet. */
  rotations: number
  /** Whether callers count on its being told. */
  isCounted: boolean
  /** Whether it was told of everything that there ever was, however late it was made. */
  isCaughtUp: boolean
  /** By event. */
  readonly arrivals: Map<string, Arrivals>
}

/** What a receiver may do to the first request about an event; to later ones it is kind. */
export type Misdeed = 'error' | 'throttle' | 'slow' | 'reset' | 'hang'

export interface Receivers {
  watch(tenantId: string, name: string): Watched
  /** Another URL of the same receiver; what comes to those before it is still its own. */
  addressOf(watched: Watched): string
  close(): void
}

export interface ReceiverOptions {
  /** What to do to the next first request. */
  misdeed: () => Misdeed | undefined
  /** How long a worker may have been stopped while it was about to send. */
  graceMs: number
  /** Told when an event is taken for the first time. */
  onTaken: (watched: Watched, correlationId: string) => void
  onMisdeed: (misdeed: Misdeed, correlationId: string) => void
}

/** All receivers on one port, each under a path of its own. */
export async function startReceivers(options: ReceiverOptions): Promise<Receivers> {
  const byPath = new Map<string, Watched>()
  const server = createServer({ keepAliveTimeout: 60_000 }, (message, response) => {
    const watched = byPath.get(message.url ?? '')
    const chunks: Buffer[] = []
    message.on('error', () => undefined)
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      if (watched === undefined) return void response.writeHead(404).end()
      void receive(options, watched, message, Buffer.concat(chunks), response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4_096, resolve))
  const { port } = server.address() as AddressInfo

  function addressOf(watched: Watched): string {
    const path = `/${byPath.size}/${watched.name}`
    byPath.set(path, watched)
    return `http://127.0.0.1:${port}${path}`
  }

  return {
    addressOf,
    watch(tenantId, name) {
      const watched: Watched = {
        ...{ tenantId, name, url: '', id: '', secrets: [], rotations: 0 },
        ...{ isCounted: false, isCaughtUp: false },
        arrivals: new Map(),
      }
      watched.url = addressOf(watched)
      return watched
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function receive(
  options: ReceiverOptions,
  watched: Watched,
  message: IncomingMessage,
  body: Buffer,
  response: ServerResponse,
): Promise<void> {
  const { misdeed, onTaken, onMisdeed } = options
  const { headers, socket } = message
  const isSigned = await isVerified(options, watched, message, body)
  const arrivals = count(watched, eventIdOf(body), body)
  arrivals.isSigned &&= isSigned
  arrivals.webhookIds.add(String(headers['webhook-id']))
  const correlationId = String(headers['x-correlation-id'])
  const take = () => {
    arrivals.taken += 1
    response.writeHead(204).end()
    if (arrivals.taken === 1) onTaken(watched, correlationId)
  }
  const done = arrivals.count === 1 ? misdeed() : undefined
  if (done === undefined) return void take()
  onMisdeed(done, correlationId)
  if (done === 'slow') return void setTimeout(take, 2_000)
  if (done === 'error') return void response.writeHead(500).end()
  if (done === 'throttle') return void response.writeHead(429, { 'retry-after': '3' }).end()
  if (done === 'reset') {
    arrivals.resets += 1
    socket.resetAndDestroy()
  }
}

/** An endpoint may be told of its own making, or by its new secret, before its owner has read that. */
async function isVerified(
  { graceMs }: ReceiverOptions,
  watched: Watched,
  { headers }: IncomingMessage,
  body: Buffer,
): Promise<boolean> {
  for (;;) {
    // What was answered while we looked may be what we need.
    const isUnanswered = watched.secrets.length === 0 || watched.rotations > 0
    if (await isWellSigned(watched.secrets, headers, body, graceMs)) return true
    if (!isUnanswered) return false
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** `webhook-id` is another one where a replay asked for that. */
function eventIdOf(body: Buffer): string {
  return /^\{"id":"(\w+)"/.exec(body.toString('latin1', 0, 64))?.[1] ?? ''
}

function count(watched: Watched, eventId: string, body: Buffer): Arrivals {
  const digest = createHash('sha256').update(body).digest('base64')
  const known = watched.arrivals.get(eventId)
  const arrivals = known ?? {
    ...{ count: 0, taken: 0, resets: 0, digest, isSame: true, isSigned: true },
    webhookIds: new Set<string>(),
  }
  if (known === undefined) watched.arrivals.set(eventId, arrivals)
  arrivals.count += 1
  arrivals.isSame &&= arrivals.digest === digest
  return arrivals
}
