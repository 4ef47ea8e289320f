import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebhookVerifier, webhookVerifier } from 'ubos/receiver'

/** An event as a receiver reads it. */
export interface ReceivedEvent {
  id: string
  type: string
  data: { id: string }
}

/** A receiver as a partner would write it: it verifies with the receiver kit, and answers 204. */
export interface DemoReceiver {
  url: string
  /** What was received and verified, in the order of arrival; repetitions included. */
  events: ReceivedEvent[]
  /** What did not verify. */
  rejected: string[]
  trust(secret: string): void
  /** Waits until an event of this type and of this thing has come. */
  waitFor(type: string, resourceId: string): Promise<void>
  stop(): void
}

const patienceMs = 30_000

/** Listens on loopback, on a free port unless told which; the other two hear of each as it comes. */
export async function startDemoReceiver(
  port = 0,
  onEvent: (event: ReceivedEvent) => void = () => undefined,
  onRejected: (reason: string) => void = () => undefined,
): Promise<DemoReceiver> {
  let verify: WebhookVerifier<ReceivedEvent> | undefined
  const events: ReceivedEvent[] = []
  const rejected: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', async () => {
      // Nothing can be verified before the secret is known: it is asked for again.
      if (verify === undefined) return void response.writeHead(503).end()
      try {
        const { headers } = request
        const { event } = await verify({ headers, body: Buffer.concat(chunks) })
        events.push(event)
        onEvent(event)
        response.writeHead(204).end()
      } catch (error) {
        rejected.push(String(error))
        onRejected(String(error))
        response.writeHead(400).end()
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const address = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${address.port}/webhooks`,
    events,
    rejected,
    trust(secret) {
      verify = webhookVerifier({ keys: [secret] })
    },
    async waitFor(type, resourceId) {
      const endMs = performance.now() + patienceMs
      while (!events.some((event) => event.type === type && event.data.id === resourceId)) {
        if (performance.now() > endMs) throw new Error(`${type} of ${resourceId} did not come`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
}
