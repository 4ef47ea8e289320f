import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ProblemCode } from '#generated/types.ts'
import { problem, problemBody } from './problem.ts'

/*
 * What Node's parser refuses before there is a request is answered here, on the bare connection. A
 * caller may have sent whole requests before it: their answers go first, or the refusal would be
 * taken for the answer to a call that was done.
 */

/** RFC 9110 §4.1 asks for 8,000 octets at least. */
export const urlLengthMax = 8 * 1024

/** The answers that each connection still waits for. */
const awaited = new WeakMap<Duplex, Set<ServerResponse>>()

/** Connections that were told already; what else comes on them is of no interest. */
const refused = new WeakSet<Duplex>()

/** Keeps in mind which answers are on their way; Node closes in silence on CONNECT, we do not. */
export function watchSockets(server: Server): void {
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const answers = awaited.get(socket) ?? new Set()
    awaited.set(socket, answers.add(response))
    response.once('close', () => answers.delete(response))
  })
  server.on('connect', (_request, socket) => {
    socket.on('error', () => undefined)
    refuseSocket(new Error('nothing here is a proxy'), socket)
  })
}

/** Whether there are answers that a connection still waits for. */
export function isAnswering(socket: Duplex): boolean {
  return (awaited.get(socket)?.size ?? 0) > 0
}

type ParserError = NodeJS.ErrnoException & { rawPacket?: unknown }

/** Answers what is no request with a problem, after all that was asked before it, and hangs up. */
export function refuseSocket(error: ParserError, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || refused.has(socket)) return
  refused.add(socket)
  // A request that is broken in its own body is what is refused: nothing else will answer it.
  const last = [...(awaited.get(socket) ?? [])].findLast(({ req }) => req.complete)
  if (last === undefined) writeRefusal(error, socket)
  else last.once('close', () => writeRefusal(error, socket))
}

const codes: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

function writeRefusal(error: ParserError, socket: Duplex): void {
  const code = codes[error.code ?? ''] ?? 'invalid_request'
  const [, url = ''] = /^[A-Z]+ (\S+)/.exec(String(error.rawPacket)) ?? []
  const isUrl = code === 'headers_too_large' && url.length > urlLengthMax
  const shown = problem(isUrl ? 'uri_too_long' : code, {
    detail: 'This is not an HTTP request that can be read.',
  })
  const body = problemBody(shown, 'req_00000000000000000000000000')
  if (socket.writable) {
    socket.end(
      `HTTP/1.1 ${shown.status} ${STATUS_CODES[shown.status]}\r\n` +
        'Content-Type: application/problem+json\r\nConnection: close\r\n' +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      () => socket.destroy(),
    )
  } else socket.destroy()
}
