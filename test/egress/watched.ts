import { createServer, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'

/** A listener at every address of this machine, of both families. It hangs up on whoever comes. */
export interface Watch extends AsyncDisposable {
  readonly port: number
  /** At which of our addresses there was a visitor, in order. */
  readonly visits: readonly string[]
}

export async function watch(): Promise<Watch> {
  const visits: string[] = []
  const server = createServer((socket: Socket) => {
    visits.push(socket.localAddress ?? '')
    socket.on('error', () => {}).destroy()
  })
  await new Promise<void>((listening) => server.listen(0, '::', listening))
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    visits,
    [Symbol.asyncDispose]: () => new Promise((closed) => server.close(() => closed())),
  }
}

/** The addresses of this machine beside loopback, as they stand in URLs. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid }) => !internal && !scopeid)
    .map(({ address }) => (address.includes(':') ? `[${address}]` : address))
}
