import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between processes and Postgres, and makes their connections as bad as it is told to. */
export interface PostgresProxy {
  readonly port: number
  /** From now on everything takes so much longer, in both directions. */
  slow(delayMs: number): void
  /** Nothing moves, and nobody is told, until `flow`. */
  stall(): void
  flow(): void
  /** Ends this share of the connections. */
  cut(share: number): void
  stop(): void
}

interface Pair {
  near: Socket
  far: Socket
}

export async function startProxy(port: number): Promise<PostgresProxy> {
  const pairs = new Set<Pair>()
  let delayMs = 0
  let isStalled = false

  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    const pair = { near, far }
    pairs.add(pair)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true)
      from.on('error', () => undefined)
      from.on('close', () => {
        pairs.delete(pair)
        to.destroy()
      })
      pass(from, to, () => delayMs)
      if (isStalled) from.pause()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const sockets = () => [...pairs].flatMap(({ near, far }) => [near, far])
  const cut = (share: number) => {
    const doomed = [...pairs].filter((_, index) => index % Math.round(1 / share) === 0)
    for (const { near, far } of doomed) {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
  }
  return {
    port: (server.address() as AddressInfo).port,
    slow: (ms) => {
      delayMs = ms
    },
    stall() {
      isStalled = true
      for (const socket of sockets()) socket.pause()
    },
    flow() {
      isStalled = false
      for (const socket of sockets()) socket.resume()
    },
    cut,
    stop() {
      cut(1)
      server.close()
    },
  }
}

interface Held {
  bytes: Buffer
  atMs: number
}

/** Passes bytes on, late if need be, and in order whatever the delay changes to. */
function pass(from: Socket, to: Socket, delayMs: () => number): void {
  const held: Held[] = []
  let timer: NodeJS.Timeout | undefined

  function passDue(): void {
    timer = undefined
    while (held[0] !== undefined && held[0].atMs <= performance.now()) {
      to.write(held[0].bytes)
      held.shift()
    }
    // One timer, for the first alone: a later one that is due sooner waits behind it.
    if (held[0] !== undefined) {
      timer = setTimeout(passDue, Math.max(0, held[0].atMs - performance.now()))
    }
  }

  from.on('data', (bytes) => {
    held.push({ bytes, atMs: performance.now() + delayMs() })
    if (timer === undefined) passDue()
  })
}
