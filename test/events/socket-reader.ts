import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { Api, World } from '../world.ts'

/** What a WebSocket told, message by message, and how it ended. */
export interface SocketReader {
  socket: WebSocket
  // biome-ignore lint/suspicious/noExplicitAny: tests read what they expect to be there
  told: any[]
  events(): { position: number; event: { id: string; type: string; data: unknown } }[]
  /** The last position that was named, which is where a client would go on. */
  lastPosition(): number
  /** Of the 101. */
  headers: IncomingMessage['headers']
  ended: Promise<{ code: number; reason: string }>
  say(message: unknown): void
}

/** Opens the stream over a WebSocket; throws the status of a refusal. */
export async function openSocket(
  { url }: Pick<World, 'url'>,
  { key }: Pick<Api, 'key'>,
  query = '',
  more: Record<string, string> = {},
): Promise<SocketReader> {
  const headers = { authorization: `Bearer ${key}`, ...more }
  const address = `${url.replace('http:', 'ws:')}/api/v1/events/stream${query}`
  const socket = new WebSocket(address, { headers })
  const reader: Omit<SocketReader, 'headers'> = {
    socket,
    told: [],
    events: () => reader.told.filter(({ kind }) => kind === 'EVENT'),
    lastPosition: () => reader.told.findLast(({ position }) => position !== undefined)?.position,
    ended: new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    }),
    say: (message) => socket.send(JSON.stringify(message)),
  }
  socket.on('message', (data) => reader.told.push(JSON.parse(String(data))))
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage['headers']>()
  socket.on('upgrade', ({ headers: answered }) => resolve(answered))
  socket.on('unexpected-response', (_request, response) => {
    let text = ''
    response.on('data', (piece) => {
      text += piece
    })
    response.on('end', () => reject(Object.assign(new Error(text), { response, text })))
  })
  socket.on('error', reject)
  return Object.assign(reader, { headers: await promise })
}
