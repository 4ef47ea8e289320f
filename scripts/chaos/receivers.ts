import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

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
  /** Whether each body was the first one, byte by byte, and bore a signature that fits. */
  isSame: boolean
  isSigned: boolean
}

/** An endpoint as its owner sees it. */
export interface Watched {
  readonly tenantId: string
  readonly name: string
  url: string
  /** Both are known once the endpoint has been made. */
  id: string
  secret: string
  readonly arrivals: Map<string, Arrivals>
}

/** What a receiver may do to the first request about an event; to later ones it is kind. */
export type Misdeed = 'error' | 'throttle' | 'slow' | 'reset' | 'hang'

export interface Receivers {
  watch(tenantId: string, name: string): Watched
  close(): void
}

export interface ReceiverOptions {
  /** What to do to the next first request. */
  misdeed: () => Misdeed | undefined
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
      receive(options, watched, message, Buffer.concat(chunks), response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4_096, resolve))
  const { port } = server.address() as AddressInfo
  return {
    watch(tenantId, name) {
      const path = `/${byPath.size}/${name}`
      const url = `http://127.0.0.1:${port}${path}`
      const watched = { tenantId, name, url, id: '', secret: '', arrivals: new Map() }
      byPath.set(path, watched)
      return watched
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

function receive(
  options: ReceiverOptions,
  watched: Watched,
  message: IncomingMessage,
  body: Buffer,
  response: ServerResponse,
): void {
  const again = () => receive(options, watched, message, body, response)
  // An endpoint may be told of its own making before its owner has read the secret.
  if (watched.secret === '') return void setTimeout(again, 20)
  const { misdeed, onTaken, onMisdeed } = options
  const { headers, socket } = message
  const arrivals = count(watched, String(headers['webhook-id']), body)
  arrivals.isSigned &&= headers['x-ubos-signature'] === signatureOf(watched.secret, body)
  const correlationId = String(headers['x-correlation-id'])
  const take = () => {
    arrivals.taken += 1
    response.writeHead(204).end()
    onTaken(watched, correlationId)
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

function count(watched: Watched, eventId: string, body: Buffer): Arrivals {
  const digest = createHash('sha256').update(body).digest('base64')
  const known = watched.arrivals.get(eventId)
  const arrivals = known ?? {
    ...{ count: 0, taken: 0, resets: 0, digest, isSame: true, isSigned: true },
  }
  if (known === undefined) watched.arrivals.set(eventId, arrivals)
  arrivals.count += 1
  arrivals.isSame &&= arrivals.digest === digest
  return arrivals
}

function signatureOf(secret: string, body: Buffer): string {
  return createHmac('sha256', secret).update(body).digest('hex')
}
