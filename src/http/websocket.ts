import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type WebSocket, WebSocketServer } from 'ws'
import { routes } from '#generated/routes.ts'
import { timesGiven } from './origin.ts'
import { problem } from './problem.ts'
import { isAnswering } from './socket.ts'
import { stamp, trailOf } from './trail.ts'
import { versionedUrl } from './versions.ts'

/*
 * A call can go on as a WebSocket where the contract says so. Until it does it is a call like any
 * other: it comes in by the same door, and what refuses it is the same problem with the same headers.
 * Elsewhere, and for any other protocol, `Upgrade` is ignored, as RFC 9110 §7.8 allows.
 */

interface Upgrade {
  readonly socket: Socket
  /** What came after the request already. */
  readonly head: Buffer
}

const upgrades = new WeakMap<IncomingMessage, Upgrade>()

const socketPaths = new Set(
  Object.values(routes).flatMap(({ websocket, path }) => (websocket === null ? [] : [path])),
)

/** Messages are commands of a few fields. */
const messageBytesMax = 4 * 1024

/** How long the other side has to answer a farewell, in ms. */
const closeTimeout = 2_000

const options = {
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: messageBytesMax,
  maxFragments: 64,
  closeTimeout,
}

const server = new WebSocketServer(options)

/** Whether a request is to go on as a WebSocket, and there is one where it goes. */
export function wantsWebSocket(request: IncomingMessage): boolean {
  const { method, headers, socket } = request
  if (method !== 'GET' || headers.upgrade?.toLowerCase() !== 'websocket') return false
  const hasBody = headers['content-length'] !== undefined || 'transfer-encoding' in headers
  const [path = ''] = versionedUrl(request).split('?', 1)
  // Answers that are still owed on the connection could not be given any more.
  return socketPaths.has(path) && !hasBody && !isAnswering(socket)
}

/**
 * Hands upgrades to whoever answers requests, with a response that ends its connection, unless it is
 * taken over; answers how to cut those that were.
 */
export function watchUpgrades(
  front: Server,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): { cut(): void } {
  const sockets = new Set<Socket>()
  front.on('upgrade', (request: IncomingMessage, duplex, head: Buffer) => {
    const socket = duplex as Socket
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    upgrades.set(request, { socket, head })
    response.once('finish', () => {
      if (upgrades.delete(request)) socket.destroySoon()
    })
    answer(request, response)
  })
  return {
    cut() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Whether this call is to go on as a WebSocket; throws where it asks for that in a wrong way. */
export function isUpgrade(request: FastifyRequest): boolean {
  if (!upgrades.has(request.raw)) return false
  const { 'sec-websocket-version': version, 'sec-websocket-key': key = '' } = request.headers
  if (version !== '13') throw wrongHeader('sec-websocket-version', 'must be 13')
  const isKey = /^[+/0-9A-Za-z]{22}==$/.test(key) && timesGiven(request, 'sec-websocket-key') === 1
  if (!isKey) throw wrongHeader('sec-websocket-key', 'must be 16 bytes in base64')
  return true
}

function wrongHeader(header: string, message: string) {
  return problem('invalid_request', {
    detail: `${header} ${message}.`,
    errors: [{ header, code: 'invalid', message }],
    headers: { 'sec-websocket-version': '13' },
  })
}

/**
 * Answers 101 with the headers of the reply; undefined when the caller has gone. For everybody who
 * keeps account the call is over then: what follows goes on for hours.
 */
export function upgrade(request: FastifyRequest, reply: FastifyReply): WebSocket | undefined {
  const { raw } = request
  const taken = upgrades.get(raw)
  if (taken === undefined) throw new Error('this call cannot go on as a WebSocket')
  upgrades.delete(raw)
  trailOf(request).leave?.()
  reply.code(101).hijack()
  stamp(request, reply)
  reply.raw.detachSocket(taken.socket)
  // There are no subprotocols; one that is asked for may be anything.
  delete raw.headers['sec-websocket-protocol']

  let socket: WebSocket | undefined
  const say = (lines: string[]) => void lines.push(...linesOf(reply))
  server.once('headers', say)
  server.handleUpgrade(raw, taken.socket, taken.head, (opened) => {
    socket = opened
  })
  server.off('headers', say)
  reply.raw.statusCode = 101
  reply.raw.emit('finish')
  return socket
}

function linesOf(reply: FastifyReply): string[] {
  return Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
    value === undefined || name === 'connection' ? [] : [`${name}: ${[value].flat().join(', ')}`],
  )
}
