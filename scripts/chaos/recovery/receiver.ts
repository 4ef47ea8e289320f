import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a receiver was told about one event. */
export interface Telling {
  digest: string
  /** Before it forgot everything, and since. */
  before: number
  since: number
  /** Whether each body was the first one, byte by byte. */
  isSame: boolean
}

/** Two receivers: one that loses what it was told, and one that notes when it hears of what happens. */
export interface RecoveryReceivers {
  readonly lostUrl: string
  readonly liveUrl: string
  readonly tellings: ReadonlyMap<string, Telling>
  /** Of the receiver that lost everything, since it did. */
  readonly toldSince: number
  forget(): void
  close(): void
}

/** `onLive` is told of the correlation id of what reaches the other receiver. */
export async function startReceivers(
  onLive: (correlationId: string) => void,
): Promise<RecoveryReceivers> {
  const tellings = new Map<string, Telling>()
  let hasForgotten = false
  let toldSince = 0

  function note(body: Buffer): void {
    const digest = createHash('sha256').update(body).digest('base64')
    const eventId = /^\{"id":"(\w+)"/.exec(body.toString('latin1', 0, 64))?.[1] ?? ''
    const telling = tellings.get(eventId) ?? { digest, before: 0, since: 0, isSame: true }
    tellings.set(eventId, telling)
    telling.isSame &&= telling.digest === digest
    if (hasForgotten) {
      telling.since += 1
      toldSince += 1
    } else telling.before += 1
  }

  const server = createServer({ keepAliveTimeout: 60_000 }, (message, response) => {
    const chunks: Buffer[] = []
    message.on('error', () => undefined)
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      if (message.url === '/live') onLive(String(message.headers['x-correlation-id']))
      else note(Buffer.concat(chunks))
      response.writeHead(204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4_096, resolve))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    ...{ lostUrl: `${base}/lost`, liveUrl: `${base}/live`, tellings },
    get toldSince() {
      return toldSince
    },
    forget() {
      hasForgotten = true
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
