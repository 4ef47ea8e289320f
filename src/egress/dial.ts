import { type LookupFunction, Socket } from 'node:net'
import { buildConnector } from 'undici'
import { type EgressPolicy, judgeAddress } from './address.ts'
import type { Resolve } from './resolve.ts'

/**
 * Opening a connection: the one place where an address is really dialled, and so the place where
 * it is judged. Host names are resolved once; *all* their addresses must be allowed, and exactly
 * these are handed to the socket, so that no second answer of a name server can slip in between
 * (rebinding). Addresses in the URL are judged here too, since no lookup happens for them.
 */
export class AddressForbidden extends Error {
  override readonly name = 'AddressForbidden'
}

export class ConnectTimedOut extends Error {
  override readonly name = 'ConnectTimedOut'
}

export interface Dialling {
  readonly connectMs: number
  /** `address` is the vetted one that was dialled, by whatever way. */
  readonly connected: (socket: Socket, address: string) => void
}

export type Dial = (
  options: buildConnector.Options,
  dialling: Dialling,
  callback: buildConnector.Callback,
) => Socket | undefined

/** `ca` is for receivers with a certificate of one's own; the verification itself stays on. */
export function createDial(policy: EgressPolicy, resolve: Resolve, ca?: string): Dial {
  const connect = buildConnector({
    allowH2: false,
    timeout: 0,
    lookup: vettedLookup(policy, resolve),
    ...(ca === undefined ? {} : { ca }),
  })

  return (options, { connectMs, connected }, callback) => {
    const refusal = refuseLiteral(options.hostname, policy)
    if (refusal !== undefined) {
      queueMicrotask(() => callback(refusal, null))
      return undefined
    }
    const socket: unknown = connect(options, (error, connection) => {
      clearTimeout(timer)
      if (error !== null) return callback(error, null)
      const verdict = judgeAddress(connection.remoteAddress ?? '', policy)
      if (!verdict.ok) {
        connection.destroy()
        return callback(new AddressForbidden('The address that answered is not public.'), null)
      }
      connected(connection, connection.remoteAddress ?? '')
      callback(null, connection)
    })
    const timer = setTimeout(() => {
      if (socket instanceof Socket) socket.destroy(new ConnectTimedOut())
    }, connectMs)
    if (!(socket instanceof Socket)) return undefined
    return socket.once('close', () => clearTimeout(timer))
  }
}

export function refuseLiteral(
  hostname: string,
  policy: EgressPolicy,
): AddressForbidden | undefined {
  if (!/^[\d.]+$|:/.test(hostname)) return undefined
  const verdict = judgeAddress(hostname, policy)
  return verdict.ok ? undefined : new AddressForbidden(verdict.reason)
}

function vettedLookup(policy: EgressPolicy, resolve: Resolve): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (addresses) => {
        const refusal = refuseAny(hostname, addresses, policy)
        if (refusal !== undefined) return callback(refusal, [])
        const found = addresses.map((address) => ({ address, family: familyOf(address) }))
        const [first] = found
        if (options.all === true || first === undefined) return callback(null, found)
        callback(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    )
  }
}

export function refuseAny(hostname: string, addresses: readonly string[], policy: EgressPolicy) {
  if (addresses.length === 0) return Object.assign(new Error('no address'), { code: 'ENODATA' })
  // The address stays unsaid: customers read this, and could map a private network by asking names.
  return addresses.every((address) => judgeAddress(address, policy).ok)
    ? undefined
    : new AddressForbidden(`${hostname} resolves to an address that is not public.`)
}

function familyOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4
}
