import { type ClientRequest, get, type IncomingMessage } from 'node:http'
import type { Api, World } from '../world.ts'

/** What a stream told, by the rules of Server-Sent Events. */
export interface Told {
  id: number | undefined
  event: string
  data: string
}

export interface StreamReader {
  response: IncomingMessage
  told: Told[]
  /** The last position that the stream named, which is where a client would go on. */
  lastId(): number
  /** Whether the stream has ended, and how. */
  isOver(): boolean
  close(): void
}

/** Opens a stream; for refusals see `api.get`. */
export async function readStream(
  { url }: Pick<World, 'url'>,
  { key }: Api,
  query = '',
  more: Record<string, string> = {},
): Promise<StreamReader> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const headers = { authorization: `Bearer ${key}`, accept: 'text/event-stream', ...more }
  const request: ClientRequest = get(`${url}/api/v1/events/stream${query}`, { headers }, resolve)
  request.on('error', reject)
  const response = await promise
  if (response.statusCode !== 200) throw new Error(`a stream is answered ${response.statusCode}`)
  const told: Told[] = []
  let lastId = 0
  let isOver = false
  let text = ''
  response.setEncoding('utf8')
  response.on('data', (piece: string) => {
    text += piece
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = fieldsOf(block)
      if (fields.id !== undefined) lastId = Number(fields.id)
      const id = fields.id === undefined ? undefined : Number(fields.id)
      if (fields.data !== undefined)
        told.push({ id, event: fields.event ?? 'message', data: fields.data })
    }
  })
  response.on('close', () => {
    isOver = true
  })
  response.on('error', () => undefined)
  return {
    response,
    told,
    lastId: () => lastId,
    isOver: () => isOver,
    close: () => void response.destroy(),
  }
}

function fieldsOf(block: string): Record<string, string> {
  const lines = block.split('\n').filter((line) => !line.startsWith(':'))
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(': ')
      return [line.slice(0, colon), line.slice(colon + 2)]
    }),
  )
}
