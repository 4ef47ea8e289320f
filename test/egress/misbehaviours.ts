import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { onTestFinished } from 'vitest'
import type { FailureReason } from '#egress/outcome.ts'
import { certify } from '../inbound/schemes/certificate.ts'
import { cert, host, key } from './certificate.ts'

/**
 * Servers that do what no server should, each by itself on a port: below HTTP (TLS, bytes, connections)
 * where `receiver.ts` misbehaves once it has read a request.
 */
export interface Misbehaviour {
  readonly name: string
  readonly begins: Begin
  /** What it comes to: a failure and what is said of it, or the status that counts all the same. */
  readonly comesTo: readonly [FailureReason, RegExp] | number
}

/** Starts a server; answers the URL that it is found at. */
type Begin = (portOf: (server: Server) => Promise<number>) => Promise<string>

/** Starts one, which goes with its test. `isAlone` resolves once all who came have left. */
export async function startMisbehaving({ begins }: Misbehaviour) {
  const sockets = new Set<Socket>()
  const url = await begins(async (server) => {
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return (server.address() as AddressInfo).port
  })
  async function isAlone(): Promise<void> {
    for (const socket of sockets) {
      const left = new Promise<void>((closed) => socket.on('close', () => closed()))
      socket.resume()
      await left
    }
  }
  return { url, isAlone }
}

/** What its certificates are signed by: itself. */
export const trusted = [cert]

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pemKey = privateKey.export({ format: 'pem', type: 'pkcs8' })
const year = 365 * 24 * 60 * 60 * 1000
const from = (begin: number, end: number) =>
  certify({ privateKey, from: new Date(Date.now() + begin), to: new Date(Date.now() + end) })
const expired = from(-2 * year, -year)
const unborn = from(year, 2 * year)
const unknown = from(-year, year)
trusted.push(expired, unborn)

/** The name in those certificates. */
const expiredHost = 'sns.example'

function plain(serve: (socket: Socket) => void, isHalfOpen = false): Begin {
  return async (portOf) => {
    const server = createServer({ allowHalfOpen: isHalfOpen }, (socket) => {
      serve(socket.on('error', () => {}))
    })
    return `http://127.0.0.1:${await portOf(server)}/hook`
  }
}

/** Once the head of the request has come: so much of it is sent that nobody waits for the rest. */
const onceAsked = (serve: (socket: Socket) => void) =>
  plain((socket) => socket.once('data', () => serve(socket)))

const says = (text: string | Buffer) => onceAsked((socket) => socket.write(text))
const saysAndLeaves = (text: string | Buffer) => onceAsked((socket) => socket.end(text))

function drips(head: string, drop: string | Buffer, everyMs = 20): Begin {
  return onceAsked((socket) => {
    socket.write(head)
    const timer = setInterval(() => socket.write(drop), everyMs)
    socket.on('close', () => clearInterval(timer))
  })
}

/** A character at a time. */
function spells(text: string, everyMs: number): Begin {
  return onceAsked((socket) => {
    let at = 0
    const timer = setInterval(() => socket.write(text[at++] ?? ''), everyMs)
    socket.on('close', () => clearInterval(timer))
  })
}

function secure(options: TlsOptions, name = host): Begin {
  return async (portOf) => {
    const server = createTlsServer(options, (socket) =>
      socket.on('error', () => {}).end('HTTP/1.1 204 No Content\r\n\r\n'),
    )
    server.on('tlsClientError', () => {})
    return `https://${name}:${await portOf(server)}/hook`
  }
}

/** No TLS at an address that promises it. */
function insecure(serve: (socket: Socket) => void): Begin {
  const begins = plain(serve)
  return async (portOf) => (await begins(portOf)).replace('http://127.0.0.1', `https://${host}`)
}

const ok = 'HTTP/1.1 200 OK\r\n'
const zeros = Buffer.alloc(10 * 1024 * 1024)

function bomb(encoding: string, bytes: Buffer): Begin {
  const head = `${ok}content-encoding: ${encoding}\r\ncontent-length: ${bytes.length}\r\n\r\n`
  return says(Buffer.concat([Buffer.from(head), bytes]))
}

const notHttp = ['protocol_error', /^The answer is not valid HTTP\/1\.1\.$/] as const
const flooded = ['protocol_error', /far more bytes/] as const
const unanswered = ['timed_out', /^No answer came before the deadline\.$/] as const
const unended = ['timed_out', /^The answer did not end before the deadline\.$/] as const
const closed = ['connection_failed', /closed before the answer ended/] as const
const untrusted = (why: RegExp) => ['tls_failed', why] as const

export const misbehaviours: readonly Misbehaviour[] = [
  // time
  { name: 'never reads nor answers', begins: plain(() => {}), comesTo: unanswered },
  { name: 'a head by the byte', begins: spells(`${ok}\r\n`, 1_000), comesTo: unanswered },
  { name: 'a header by the byte', begins: drips(`${ok}x-slow: `, 'y'), comesTo: unanswered },
  {
    name: 'a body by the byte, of known length',
    begins: drips(`${ok}content-length: 100000\r\n\r\n`, 'z'),
    comesTo: unended,
  },
  {
    name: 'a body by the byte, until it closes',
    begins: drips(`${ok}connection: close\r\n\r\n`, 'z'),
    comesTo: unended,
  },
  {
    name: 'chunks of a byte',
    begins: drips(`${ok}transfer-encoding: chunked\r\n\r\n`, '1\r\nz\r\n'),
    comesTo: unended,
  },
  {
    name: '103 again and again, slowly',
    begins: drips('', 'HTTP/1.1 103 Early Hints\r\n\r\n'),
    comesTo: flooded,
  },
  {
    name: '100 again and again, slowly',
    begins: drips('', 'HTTP/1.1 100 Continue\r\n\r\n'),
    comesTo: notHttp,
  },
  // size
  { name: 'a bomb of gzip', begins: bomb('gzip', gzipSync(zeros)), comesTo: 200 },
  { name: 'a bomb of deflate', begins: bomb('deflate', deflateSync(zeros)), comesTo: 200 },
  { name: 'a bomb of brotli', begins: bomb('br', brotliCompressSync(zeros)), comesTo: 200 },
  {
    name: 'a bomb in a bomb',
    begins: bomb('gzip, gzip', gzipSync(gzipSync(zeros))),
    comesTo: 200,
  },
  {
    name: 'many small headers',
    begins: says(`${ok}${'x-a: b\r\n'.repeat(6_000)}content-length: 0\r\n\r\n`),
    comesTo: ['protocol_error', /headers of the answer are too long/],
  },
  {
    name: 'one long header',
    begins: says(`${ok}x-a: ${'b'.repeat(32_000)}\r\ncontent-length: 0\r\n\r\n`),
    comesTo: ['protocol_error', /headers of the answer are too long/],
  },
  {
    name: 'a long status line',
    begins: saysAndLeaves(`HTTP/1.1 200 ${'O'.repeat(2_000_000)}K\r\n\r\n`),
    comesTo: flooded,
  },
  // connections
  {
    name: 'resets at once',
    begins: plain((socket) => socket.resetAndDestroy()),
    comesTo: ['connection_failed', /reset \(ECONNRESET\)/],
  },
  { name: 'closes at once', begins: plain((socket) => socket.end()), comesTo: closed },
  {
    name: 'closes its half and listens on',
    begins: plain((socket) => socket.resume().end(), true),
    comesTo: closed,
  },
  {
    name: 'resets in the middle of a head',
    begins: onceAsked((socket) => socket.write('HTTP/1.1 200', () => socket.resetAndDestroy())),
    comesTo: ['connection_failed', /reset \(ECONNRESET\)/],
  },
  { name: 'leaves in the middle of a head', begins: saysAndLeaves('HTTP/1.1 20'), comesTo: closed },
  {
    name: 'answers before it was asked',
    begins: plain((socket) => socket.write(`${ok}content-length: 0\r\n\r\n`)),
    comesTo: 200,
  },
  {
    name: 'refuses before it has read the body, and never reads it',
    begins: plain((socket) => {
      socket.once('readable', () =>
        socket.write('HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'),
      )
    }),
    comesTo: 413,
  },
  {
    name: 'closes a connection that it promised to keep',
    begins: saysAndLeaves(
      `${ok}connection: keep-alive\r\nkeep-alive: timeout=60\r\ncontent-length: 0\r\n\r\n`,
    ),
    comesTo: 200,
  },
  // bytes
  {
    name: 'the preface of HTTP/2',
    begins: says(Buffer.from('00001204000000000000030000008000040000ffff', 'hex')),
    comesTo: notHttp,
  },
  {
    name: 'a greeting of another protocol',
    begins: says('SSH-2.0-OpenSSH_9.6\r\n'),
    comesTo: notHttp,
  },
  { name: 'a page without a head', begins: saysAndLeaves('<html>OK</html>'), comesTo: notHttp },
  { name: 'bytes that mean nothing', begins: says(Buffer.alloc(64, 0xff)), comesTo: notHttp },
  { name: 'another version', begins: says('HTTP/3.0 200 OK\r\n\r\n'), comesTo: notHttp },
  { name: 'a status of two digits', begins: says('HTTP/1.1 99 Low\r\n\r\n'), comesTo: notHttp },
  { name: 'a status of four digits', begins: says('HTTP/1.1 1000 High\r\n\r\n'), comesTo: notHttp },
  { name: 'a status that is a word', begins: says('HTTP/1.1 OK\r\n\r\n'), comesTo: notHttp },
  {
    name: 'a header without a name',
    begins: says(`${ok}: b\r\ncontent-length: 0\r\n\r\n`),
    comesTo: notHttp,
  },
  {
    name: 'a header with NUL in it',
    begins: says(`${ok}x-a: \0\r\ncontent-length: 0\r\n\r\n`),
    comesTo: notHttp,
  },
  {
    name: 'a length below nothing',
    begins: says(`${ok}content-length: -1\r\n\r\n`),
    comesTo: notHttp,
  },
  {
    name: 'a length beyond all numbers',
    begins: says(`${ok}content-length: 99999999999999999999999\r\n\r\n`),
    comesTo: notHttp,
  },
  {
    name: 'a length that is a word',
    begins: says(`${ok}content-length: many\r\n\r\n`),
    comesTo: notHttp,
  },
  {
    name: 'a body longer than its length',
    begins: says(`${ok}content-length: 2\r\n\r\nhello`),
    comesTo: 200,
  },
  {
    name: 'a body shorter than its length',
    begins: saysAndLeaves(`${ok}content-length: 100\r\n\r\nhello`),
    comesTo: closed,
  },
  {
    name: 'a length and chunks at once',
    begins: says(`${ok}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
    comesTo: notHttp,
  },
  {
    name: 'chunks that are none',
    begins: says(`${ok}transfer-encoding: chunked\r\n\r\nzz\r\nzz\r\n`),
    comesTo: notHttp,
  },
  {
    name: 'a chunk beyond all numbers',
    begins: says(`${ok}transfer-encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n`),
    comesTo: notHttp,
  },
  {
    name: 'chunks that break off',
    begins: saysAndLeaves(`${ok}transfer-encoding: chunked\r\n\r\n5\r\nhel`),
    comesTo: closed,
  },
  // TLS
  {
    name: 'a certificate that has expired',
    begins: secure({ cert: expired, key: pemKey }, expiredHost),
    comesTo: untrusted(/the certificate has expired \(CERT_HAS_EXPIRED\)/),
  },
  {
    name: 'a certificate that is not good yet',
    begins: secure({ cert: unborn, key: pemKey }, expiredHost),
    comesTo: untrusted(/the certificate is not good yet \(CERT_NOT_YET_VALID\)/),
  },
  {
    name: 'a certificate that it signed itself',
    begins: secure({ cert: unknown, key: pemKey }, expiredHost),
    comesTo: untrusted(/signed by nobody that is known \(DEPTH_ZERO_SELF_SIGNED_CERT\)/),
  },
  {
    name: 'a certificate for another name',
    begins: secure({ cert, key }, 'other.receiver.example'),
    comesTo: untrusted(/for another name \(ERR_TLS_CERT_ALTNAME_INVALID\)/),
  },
  {
    name: 'a version of TLS that nobody should speak',
    begins: secure({
      secureContext: createSecureContext({
        ...{ cert, key, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' },
        ciphers: 'DEFAULT:@SECLEVEL=0',
      }),
    }),
    comesTo: untrusted(/speaks no TLS that we do/),
  },
  {
    name: 'no TLS where it is promised',
    begins: insecure((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad\r\n\r\n'))),
    comesTo: untrusted(/there is no TLS at that port/),
  },
  {
    name: 'a handshake that never begins',
    begins: insecure((socket) => socket.resume()),
    comesTo: ['timed_out', /^No connection was made in time\.$/],
  },
  {
    name: 'a handshake by the byte',
    begins: insecure((socket) => {
      const timer = setInterval(() => socket.write(Buffer.of(0x16)), 50)
      socket.resume().on('close', () => clearInterval(timer))
    }),
    comesTo: untrusted(/there is no TLS at that port/),
  },
  {
    name: 'a handshake that is reset',
    begins: insecure((socket) => socket.once('data', () => socket.resetAndDestroy())),
    comesTo: ['connection_failed', /reset \(ECONNRESET\)/],
  },
  {
    name: 'TLS where none is asked for',
    begins: async (portOf) => {
      const url = await secure({ cert, key })(portOf)
      return url.replace(`https://${host}`, 'http://127.0.0.1')
    },
    comesTo: ['connection_failed', /was reset|was closed/],
  },
]
