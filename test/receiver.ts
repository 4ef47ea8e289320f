import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server, Socket } from 'node:net'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'

/**
 * A *receiver* is a customer's endpoint: a real HTTP server on loopback that keeps what it was
 * sent, answers as it is told, and misbehaves on request. `await receiver.received(3)` waits for
 * the third request, so that no test sleeps.
 */
export interface ReceivedRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly at: Date
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

export interface Receiver {
  /** `http://127.0.0.1:<port>/hook`, or `https:` */
  readonly url: string
  readonly port: number
  readonly requests: readonly ReceivedRequest[]
  /** Connections made to us so far, and those that are open now. */
  readonly connections: { readonly made: number; readonly open: number }
  /** From now on: one answer for all, or one made for each request. */
  answers(status: number, headers?: Answer['headers'], body?: Answer['body']): void
  answersWith(answer: (request: ReceivedRequest, count: number) => Answer | Behaviour): void
  behaves(behaviour: Behaviour): void
  /** Resolves once this many requests have come in all. */
  received(count: number): Promise<void>
  /** Resolves once so many connections, or fewer, are open. */
  connectionsFallTo(count: number): Promise<void>
  /** Closes every connection, as a server does with idle ones. */
  hangsUp(): void
  /** Throws unless every request bears signatures that both libraries accept. */
  verified(secret: string): readonly ReceivedRequest[]
  /** Destroys every socket, so that nothing keeps a test alive. */
  stop(): Promise<void>
}

/** What a bad receiver does once it has read the request. */
const misdeeds = {
  hang: () => {},
  'slow-headers': (socket) => drip(socket, 'HTTP/1.1 200 OK\r\nx-slow: ', 'y'),
  'slow-drip': (socket) => drip(socket, 'HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n', 'z'),
  'endless-body': (socket) => flood(socket, `${chunked}`, `1000\r\n${'b'.repeat(4096)}\r\n`),
  'endless-chunk-extension': (socket) => flood(socket, `${chunked}1;`, 'e'.repeat(4096)),
  'endless-early-hints': (socket) =>
    flood(socket, '', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(99)),
  'endless-headers': (socket) =>
    flood(socket, 'HTTP/1.1 200 OK\r\n', 'x-more: more\r\n'.repeat(99)),
  'endless-trailers': (socket) => flood(socket, `${chunked}0\r\n`, 'x-more: more\r\n'.repeat(99)),
  'huge-headers': (socket) =>
    socket.end(`HTTP/1.1 200 OK\r\nx-huge: ${'h'.repeat(64 * 1024)}\r\ncontent-length: 0\r\n\r\n`),
  reset,
  'reset-mid-answer': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf', () =>
      socket.resetAndDestroy(),
    )
  },
  'close-without-answer': (socket) => socket.end(),
  'close-mid-answer': (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf'),
  'close-mid-chunk': (socket) => socket.end(`${chunkedClose}1000\r\nhalf`),
  'two-lengths': (socket) =>
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'),
  'odd-headers': (socket) =>
    socket.write(
      'HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n__proto__: evil\r\n' +
        'constructor: evil\r\ncontent-length: 0\r\n\r\n',
    ),
  garbage: (socket) => socket.end('220 mail.example.com ESMTP ready\r\n'),
  continue: (socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'),
  upgrade: (socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: tcp\r\nconnection: upgrade\r\n\r\n'),
  'two-answers': (socket) => socket.write(`${noContent}${noContent}`),
  'close-after-answer': (socket) => socket.end(noContent),
} satisfies Record<string, (socket: Socket) => unknown>

export type Behaviour = keyof typeof misdeeds

const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'
const chunkedClose = 'HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n'
const noContent = 'HTTP/1.1 204 No Content\r\n\r\n'

export async function startReceiver(tls?: {
  cert: string
  key: string | Buffer
}): Promise<Receiver> {
  const requests: ReceivedRequest[] = []
  const changes = new EventTarget()
  let react = answering(() => ({ status: 204 }))

  const listener: RequestListener = (message, response) => {
    const receive = (request: ReceivedRequest) => {
      requests.push(request)
      changes.dispatchEvent(new Event('change'))
      react({ request, response, socket: message.socket, count: requests.length })
    }
    read(message).then(receive, brokenOff)
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  const connections = connectionsOf(server, changes)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo

  return {
    url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}/hook`,
    ...{ port, requests, connections },
    answers(status, headers = {}, body = '') {
      react = answering(() => ({ status, headers, body }))
    },
    answersWith(answer) {
      react = answering(answer)
    },
    behaves(behaviour) {
      react = answering(() => behaviour)
    },
    received: (count) => until(changes, () => requests.length >= count),
    connectionsFallTo: (count) => until(changes, () => connections.open <= count),
    hangsUp() {
      for (const socket of connections.sockets) socket.end()
    },
    verified: (secret) => requests.map((request) => verify(request, secret)),
    async stop() {
      const closed = new Promise((done) => server.close(done))
      for (const socket of connections.sockets) socket.destroy()
      await closed
    },
  }
}

function connectionsOf(server: Server, changes: EventTarget) {
  const sockets = new Set<Socket>()
  let made = 0
  server.on('connection', (socket: Socket) => {
    made += 1
    sockets.add(socket)
    socket.on('error', brokenOff)
    socket.on('close', () => {
      sockets.delete(socket)
      changes.dispatchEvent(new Event('change'))
    })
  })
  return {
    sockets,
    get made() {
      return made
    },
    get open() {
      return sockets.size
    },
  }
}

/** The sender went away: its own affair. */
function brokenOff(): void {}

interface Occasion {
  readonly request: ReceivedRequest
  readonly response: ServerResponse
  readonly socket: Socket
  readonly count: number
}

type React = (occasion: Occasion) => unknown

function answering(answer: Parameters<Receiver['answersWith']>[0]): React {
  return ({ request, response, socket, count }) => {
    const reaction = answer(request, count)
    if (typeof reaction === 'string') return misdeeds[reaction](socket)
    const { status, headers = {}, body = '' } = reaction
    response.writeHead(status, { ...headers }).end(body)
  }
}

async function read(message: IncomingMessage): Promise<ReceivedRequest> {
  const at = new Date()
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk)
  const headers = Object.entries(message.headers).map(([name, value]) => [name, String(value)])
  return {
    method: message.method ?? '',
    path: message.url ?? '',
    headers: Object.fromEntries(headers),
    body: Buffer.concat(chunks),
    at,
  }
}

function verify(request: ReceivedRequest, secret: string): ReceivedRequest {
  const { body, headers } = request
  new StandardWebhook(secret).verify(body, headers)
  new SvixWebhook(secret).verify(body, headers)
  return request
}

/** A socket that is being closed already cannot be reset: Node would neither do it nor say so. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

function drip(socket: Socket, head: string, drop: string): void {
  socket.write(head)
  const dripping = setInterval(() => socket.write(drop), 20)
  socket.on('close', () => clearInterval(dripping))
}

function flood(socket: Socket, head: string, wave: string): void {
  const waves = Buffer.from(wave.repeat(Math.ceil(65_536 / wave.length)))
  socket.write(head)
  const pour = () => {
    while (!socket.destroyed && socket.write(waves));
  }
  socket.on('drain', pour)
  pour()
}

function until(changes: EventTarget, isSo: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!isSo()) return
      changes.removeEventListener('change', look)
      resolve()
    }
    changes.addEventListener('change', look)
    look()
  })
}
