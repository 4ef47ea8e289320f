import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { EgressRequest } from '#egress/request.ts'
import { createEgress, type Egress, type EgressOptions } from '#egress/send.ts'
import { type Receiver, startReceiver } from '../receiver.ts'

export const production = { allowLoopback: false, httpsOnly: true }
export const development = { allowLoopback: true, httpsOnly: false }

/** For tests of a thousand sends on a machine that has other things to do. */
export const patiently = { timeout: 20_000 }

/** What must never be told by an outcome. */
export const telltale = 'telltale-secret'

export type Post = (changes?: Partial<EgressRequest>) => ReturnType<Egress['send']>

export interface World extends AsyncDisposable {
  readonly receiver: Receiver
  readonly egress: Egress
  /** Sends to the receiver; limits are long where none is meant to be met. */
  readonly post: Post
}

/** A receiver and an egress that knows it; both end with the test: `await using`. */
export async function world(options: EgressOptions = {}): Promise<World> {
  const receiver = await startReceiver()
  const egress = createEgress(development, options)
  return {
    receiver,
    egress,
    post: (changes) => egress.send(requestTo(receiver.url, changes)),
    async [Symbol.asyncDispose]() {
      await egress.close()
      await receiver.stop()
    },
  }
}

export function requestTo(url: string, changes: Partial<EgressRequest> = {}): EgressRequest {
  return {
    method: 'POST',
    url: `${url}?token=${telltale}`,
    allowedHosts: null,
    headers: { 'content-type': 'application/json', 'webhook-signature': telltale },
    body: Buffer.from('{"type":"client.created"}'),
    deadlineMs: 20_000,
    connectMs: 20_000,
    responseBytesMax: 1_000,
    ...changes,
  }
}

export interface Canary extends AsyncDisposable {
  readonly port: number
  readonly visits: number
  /** Resolves once every visitor has left. */
  isAlone(): Promise<void>
}

/** A listener on this machine that nobody must ever reach. It says nothing to who does. */
export async function canary(): Promise<Canary> {
  const sockets = new Set<Socket>()
  let visits = 0
  const server = createServer((socket) => {
    visits += 1
    sockets.add(socket.on('error', () => {}).resume())
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    get visits() {
      return visits
    },
    async isAlone() {
      for (const socket of sockets) await once(socket, 'close')
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((closed) => server.close(closed))
    },
  }
}
