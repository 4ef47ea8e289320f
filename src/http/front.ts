import { createServer, type RequestListener, type Server } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Clock } from '#clock.ts'
import { problem, problemBody } from './problem.ts'
import { watchSockets } from './socket.ts'
import { wantsWebSocket, watchUpgrades } from './websocket.ts'

/*
 * The *front* is what others see of the process from its first moment to its last: a port. It
 * answers /livez before there is anything behind it, since a process that migrates or recovers is
 * alive; it is ready when the house behind it is, and says that it leaves before it does.
 */
export interface Front {
  readonly server: Server
  /** Lets calls in: from now on `answer` answers them. */
  open(answer: RequestListener): void
  /** Whether the process is about to stop, so that no more calls should be sent to it. */
  isLeaving(): boolean
  leave(): void
  /** Ends what is still under way, WebSockets too. */
  cut(): void
}

/** Time-outs of a connection in ms: headers and body must arrive, and an idle one is let go. */
const timeouts = { headers: 10_000, request: 30_000, keepAlive: 72_000, checkEvery: 1_000 }

export function createFront(clock: Pick<Clock, 'newId'>): Front {
  const server = createServer({
    headersTimeout: timeouts.headers,
    requestTimeout: timeouts.request,
    keepAliveTimeout: timeouts.keepAlive,
    connectionsCheckingInterval: timeouts.checkEvery,
    // Node refuses a missing Host with an empty answer; it is refused in words.
    requireHostHeader: false,
    shouldUpgradeCallback: wantsWebSocket,
  })
  watchSockets(server)
  // An expectation other than 100-continue may be ignored (RFC 9110 §10.1.1); Node answers nothing.
  server.on('checkExpectation', (message, response) => server.emit('request', message, response))
  const early = answerEarly(clock)
  let answer = early
  let isLeaving = false
  server.on('request', (request, response) => answer(request, response))
  const upgrades = watchUpgrades(server, (request, response) => answer(request, response))
  return {
    server,
    open(house) {
      answer = house
    },
    isLeaving: () => isLeaving,
    leave() {
      isLeaving = true
    },
    cut() {
      server.closeAllConnections()
      upgrades.cut()
    },
  }
}

/** Listens there, and answers under which address. */
export async function listenAt({ server }: Front, host: string, port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // Where a name has two addresses, one of them is listened on: let it be the one people type.
  const named = host === 'localhost' ? '127.0.0.1' : host
  server.once('error', reject).listen({ host: named, port }, resolve)
  await promise
  server.off('error', reject)
  return addressOf({ server })
}

/** Where a front listens. */
export function addressOf({ server }: Pick<Front, 'server'>): string {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('this is not a port')
  const local = address.family === 'IPv6' ? '[::1]' : '127.0.0.1'
  const isEverywhere = /^(0\.0\.0\.0|::)$/.test(address.address)
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${isEverywhere ? local : shown}:${address.port}`
}

/**
 * How a server leaves: /readyz fails at once, and every answer from then on says `Connection: close`,
 * while calls are still taken, for `awayMs`, until whoever sends them has noticed. What then is
 * under way may end; what has not after `drainMs` is cut. A second call with 0 ends all waiting.
 */
export function leaving(app: FastifyInstance, front: Front, awayMs: number) {
  const hurried = Promise.withResolvers<void>()
  const cut = () => front.cut()
  let left: Promise<void> | undefined

  async function leave(drainMs: number): Promise<void> {
    front.leave()
    await orAfter(awayMs, hurried.promise)
    const timer = setTimeout(cut, drainMs)
    void hurried.promise.then(cut)
    await app.close()
    clearTimeout(timer)
  }

  return (drainMs: number): Promise<void> => {
    if (drainMs === 0) hurried.resolve()
    left ??= leave(drainMs)
    return left
  }
}

/** Waits for `sooner`, at most so long. */
async function orAfter(ms: number, sooner: Promise<void>): Promise<void> {
  if (ms === 0) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([promise, sooner])
  clearTimeout(timer)
}

/** While the process starts: it lives, and nothing can be asked of it yet. */
function answerEarly({ newId }: Pick<Clock, 'newId'>): RequestListener {
  return (request, response) => {
    response.setHeader('connection', 'close')
    if (request.url === '/livez') {
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
      response.end(JSON.stringify({ status: 'ALIVE' }))
      return
    }
    const requestId = newId('req')
    const starting = problem('unavailable', { detail: 'The process is starting.' })
    response.writeHead(starting.status, {
      'content-type': 'application/problem+json',
      'x-request-id': requestId,
      'retry-after': '1',
    })
    response.end(problemBody(starting, requestId))
  }
}
