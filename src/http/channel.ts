import { WebSocket } from 'ws'
import type { Channel } from '#generated/operations.ts'
import type { Route } from '#generated/routes.ts'
import { parseJson } from './body.ts'
import { fieldErrorsOf } from './field-errors.ts'
import { Problem } from './problem.ts'
import { ReplyBroken } from './reply.ts'

/** A message as it comes off the wire. */
type RawMessage = Buffer | ArrayBuffer | Buffer[]

/** Bytes that wait for a reader, beside what its connection holds. */
const waitingBytesMax = 64 * 1024

/** How often a peer is asked for a sign of life, and after how long without one it is gone. */
export const pulse = { askEveryMs: 15_000, goneAfterMs: 45_000 }

/** More than this of messages is no conversation. */
const paceMax = { messages: 30, inMs: 10_000 }

export interface ChannelOptions {
  route: Route
  /** Whether what is sent is held against the contract. */
  mustCheck: boolean
  /** Something went wrong on our side. */
  fail: (error: unknown) => void
}

/**
 * What is said on a WebSocket, held against the contract. A peer that is slow is waited for; no more than one message lies ready.
 */
export function channelOf(
  socket: WebSocket | undefined,
  { route, mustCheck, fail }: ChannelOptions,
): Channel<never> {
  let heardMs = performance.now()
  const heard = () => {
    heardMs = performance.now()
  }
  if (socket !== undefined) beat(socket, () => performance.now() - heardMs)
  socket?.on('pong', heard).on('ping', heard).on('message', heard)
  // What a peer does wrong has its close code; there is nobody to tell.
  socket?.on('error', () => undefined)

  const isOpen = () => socket?.readyState === WebSocket.OPEN

  return {
    async send(text) {
      if (socket === undefined || !isOpen()) return false
      if (mustCheck) checkSent(route, text)
      const written = new Promise<boolean>((resolve) => {
        socket.send(text, (error) => resolve(!error))
      })
      return socket.bufferedAmount < waitingBytesMax ? true : written
    },
    listen(listener) {
      const mayCome = createPace()
      socket?.once('close', () => listener.gone())
      let last = Promise.resolve()
      socket?.on('message', (raw: RawMessage, isBinary: boolean) => {
        if (!isOpen()) return
        if (isBinary) return listener.refuse('NOT_TEXT')
        if (!mayCome(performance.now())) return listener.refuse('TOO_MANY')
        const read = readMessage(route, raw)
        if (!read.ok) return listener.refuse('MALFORMED', read.detail)
        last = last.then(() => listener.hear(read.message as never)).catch(fail)
      })
    },
    close(code, reason, text) {
      if (socket === undefined || !isOpen()) return
      if (mustCheck) checkSent(route, text)
      socket.send(text, () => undefined)
      socket.close(code, reason)
    },
  }
}

/** Asks for signs of life until the end, and makes one of a peer that gives none. */
function beat(socket: WebSocket, silentMs: () => number): void {
  const timer = setInterval(() => {
    if (silentMs() > pulse.goneAfterMs) socket.terminate()
    else if (socket.readyState === WebSocket.OPEN) socket.ping()
  }, pulse.askEveryMs)
  socket.once('close', () => clearInterval(timer))
}

function createPace(): (nowMs: number) => boolean {
  let sinceMs = Number.NEGATIVE_INFINITY
  let messages = 0
  return (nowMs) => {
    if (nowMs - sinceMs > paceMax.inMs) {
      sinceMs = nowMs
      messages = 0
    }
    messages += 1
    return messages <= paceMax.messages
  }
}

type Read = { ok: true; message: unknown } | { ok: false; detail: string }

function readMessage({ websocket }: Route, raw: RawMessage): Read {
  const bytes = Array.isArray(raw) ? Buffer.concat(raw) : Buffer.from(raw as Buffer)
  try {
    const message = parseJson(bytes)
    if (websocket?.receives(message)) return { ok: true, message }
    const [first] = fieldErrorsOf('body', websocket?.receives.errors ?? [])
    const detail = `${first?.pointer || 'The message'} ${first?.message}.`
    return { ok: false, detail: detail.slice(0, 500) }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { ok: false, detail: error.detail }
  }
}

function checkSent({ operationId, websocket }: Route, text: string): void {
  if (websocket?.sends(JSON.parse(text))) return
  const [error] = websocket?.sends.errors ?? []
  throw new ReplyBroken(`${operationId} says ${error?.instancePath ?? ''} ${error?.message ?? ''}`)
}
