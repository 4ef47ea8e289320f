import { isIP, Socket } from 'node:net'
import { buildConnector } from 'undici'
import type { EgressPolicy } from './address.ts'
import { AddressForbidden, ConnectTimedOut, type Dial, refuseAny, refuseLiteral } from './dial.ts'
import type { Resolve } from './resolve.ts'

/** The operator's proxy did not make a way; the message is for the customer, and says no more. */
export class ProxyFailed extends Error {
  override readonly name = 'ProxyFailed'
}

export interface ProxiedDial {
  readonly policy: EgressPolicy
  readonly resolve: Resolve
  /** `http://[user:password@]host:port` */
  readonly proxy: URL
  /** Certificates of receivers, in place of the public ones. */
  readonly ca?: string | undefined
}

/** As much of an answer to CONNECT as is read. */
const headBytesMax = 16 * 1024

/**
 * Dials through the operator's CONNECT proxy, plain HTTP too. Names are resolved and judged here, all of
 * their addresses, and the proxy is asked for a vetted *address*: it resolves nothing, so that it
 * cannot be led elsewhere. Host and SNI stay those of the URL, and TLS goes through unbroken. The
 * proxy's own address is the operator's, and is not judged.
 */
export function createProxiedDial({ policy, resolve, proxy, ca }: ProxiedDial): Dial {
  const secure = buildConnector({ allowH2: false, timeout: 0, ...(ca === undefined ? {} : { ca }) })

  async function open(socket: Socket, hostname: string, port: string): Promise<string> {
    const address = await vetted(hostname, policy, resolve)
    if (socket.destroyed) throw new ProxyFailed('The connection was given up.')
    await connected(socket, proxy)
    await tunnel(socket, proxy, `${address.includes(':') ? `[${address}]` : address}:${port}`)
    return address
  }

  return (options, dialling, callback) => {
    const socket = new Socket()
    let isLate = false
    let isDone = false
    const timer = setTimeout(() => {
      isLate = true
      socket.destroy(new ConnectTimedOut())
      done(new ConnectTimedOut())
    }, dialling.connectMs)
    socket.on('error', () => undefined)
    socket.once('close', () => clearTimeout(timer))

    function done(error: Error): void {
      clearTimeout(timer)
      if (isDone) return
      isDone = true
      socket.destroy()
      callback(isLate ? new ConnectTimedOut() : error, null)
    }

    function succeed(connection: Socket, address: string): void {
      clearTimeout(timer)
      if (isDone) return
      isDone = true
      dialling.connected(connection, address)
      callback(null, connection as Parameters<typeof callback>[1] & Socket)
    }

    const hostname = options.hostname.replace(/^\[|\]$/g, '')
    const isSecure = options.protocol === 'https:'
    open(socket, hostname, options.port || (isSecure ? '443' : '80')).then((address) => {
      if (!isSecure) return succeed(socket, address)
      secure({ ...options, httpSocket: socket }, (error, connection) => {
        if (error !== null) done(error)
        else succeed(connection, address)
      })
    }, done)
    return socket
  }
}

/** The first address of a host, once all of them are found to be public. */
async function vetted(hostname: string, policy: EgressPolicy, resolve: Resolve): Promise<string> {
  const refusal = refuseLiteral(hostname, policy)
  if (refusal !== undefined) throw refusal
  if (isIP(hostname) !== 0) return hostname
  const addresses = await resolve(hostname)
  const objection = refuseAny(hostname, addresses, policy)
  if (objection !== undefined) throw objection
  const [first] = addresses
  if (first === undefined) throw new AddressForbidden(`${hostname} has no address.`)
  return first
}

/** Until the proxy is reached. */
function connected(socket: Socket, proxy: URL): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const failed = () => reject(new ProxyFailed('The proxy that leads out cannot be reached.'))
  socket.once('error', failed).once('close', failed)
  socket.once('connect', () => {
    socket.off('error', failed).off('close', failed)
    resolve()
  })
  const host = proxy.hostname.replace(/^\[|\]$/g, '')
  socket.setNoDelay(true).setKeepAlive(true, 60_000)
  socket.connect({ host, port: Number(proxy.port || '80') })
  return promise
}

/** Asks the proxy for a way to `target`, and waits until there is one. */
function tunnel(socket: Socket, proxy: URL, target: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let head = Buffer.alloc(0)

  function settle(failure?: string): void {
    socket.off('readable', read).off('end', broken).off('close', broken)
    if (failure === undefined) resolve()
    else reject(new ProxyFailed(failure))
  }
  const broken = () => settle('The proxy that leads out closed the connection.')

  function read(): void {
    for (let piece = socket.read(); piece !== null; piece = socket.read()) {
      head = Buffer.concat([head, piece])
    }
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) {
      if (head.length > headBytesMax) settle('The proxy that leads out answered no HTTP.')
      return
    }
    const [, status = ''] = /^HTTP\/1\.[01] (\d{3})/.exec(head.toString('latin1')) ?? []
    if (!status.startsWith('2')) settle(`The proxy that leads out answered ${status}.`)
    // Whoever is called speaks after us: what came already is none of its words.
    else settle(end + 4 < head.length ? 'The proxy that leads out said too much.' : undefined)
  }

  socket.on('readable', read).once('end', broken).once('close', broken)
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${credentialsOf(proxy)}\r\n`)
  return promise
}

function credentialsOf({ username, password }: URL): string {
  if (username === '' && password === '') return ''
  const plain = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return `Proxy-Authorization: Basic ${Buffer.from(plain).toString('base64')}\r\n`
}
