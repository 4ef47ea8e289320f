import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { startWorker } from '#app.ts'
import type { openDatabases } from '#db/open.ts'
import type { WebhookAttemptInfo, WebhookDeliveryInfo } from '#generated/types.ts'
import { leaseToken, runPresence } from '#jobs/presence.ts'
import { until } from '../jobs/until.ts'
import { type Receiver, startReceiver } from '../receiver.ts'
import { type Api, contextOf, type World } from '../world.ts'

/** A receiver that goes with its test. */
export async function aReceiver(): Promise<Receiver> {
  const receiver = await startReceiver()
  onTestFinished(() => receiver.stop())
  return receiver
}

/** A receiver that answers only when it is told to, each request by itself. */
export async function aPatientReceiver() {
  const waiting: ServerResponse[] = []
  const server = createServer((message, response) => {
    message.resume().on('end', () => waiting.push(response))
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    waiting,
    /** Answers the request that has waited longest. */
    answer(status: number): void {
      waiting.shift()?.writeHead(status).end()
    },
  }
}

export interface AnEndpoint {
  id: string
  secret: string
  path: string
}

/**
 * An endpoint that is told when a client is created, unless told otherwise. A machine that is starved
 * may answer 503, as the contract says: then it is asked once more.
 */
export async function anEndpoint(
  api: Api,
  url: string,
  eventTypes: readonly string[] = ['client.created'],
): Promise<AnEndpoint> {
  const make = () => api.post('/api/v1/webhook-endpoints', { url, eventTypes })
  const first = await make()
  const { status, body } = first.status === 503 ? await make() : first
  if (status !== 201) throw new Error(JSON.stringify(body))
  return { id: body.id, secret: body.secret, path: `/api/v1/webhook-endpoints/${body.id}` }
}

/** Creates clients, some at a time: so many events of type client.created. */
export async function createClients(api: Api, count = 1): Promise<string[]> {
  const ids: string[] = []
  let left = count
  const create = async () => {
    while (left > 0) {
      left -= 1
      const { status, body } = await api.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })
      if (status !== 201) throw new Error(JSON.stringify(body))
      ids.push(body.id)
    }
  }
  await Promise.all(Array.from({ length: 8 }, create))
  return ids
}

/** Every delivery that a list of deliveries holds, over its pages. */
export async function deliveriesOf(api: Api, filter = ''): Promise<WebhookDeliveryInfo[]> {
  const deliveries: WebhookDeliveryInfo[] = []
  let cursor = ''
  do {
    const path = `/api/v1/webhook-deliveries?limit=200${filter}${cursor}`
    const { status, body } = await api.get(path)
    if (status !== 200) throw new Error(`${path}: ${JSON.stringify(body)}`)
    deliveries.push(...body.data)
    cursor = body.nextCursor && `&cursor=${encodeURIComponent(body.nextCursor)}`
  } while (cursor)
  return deliveries
}

/** The only delivery to an endpoint of an event of this type. */
export async function deliveryTo(
  api: Api,
  { id }: Pick<AnEndpoint, 'id'>,
  eventType = 'client.created',
): Promise<WebhookDeliveryInfo> {
  const filter = `&endpointId=${id}&eventType=${eventType}`
  await until(async () => (await deliveriesOf(api, filter)).length > 0)
  const [delivery, ...others] = await deliveriesOf(api, filter)
  if (delivery === undefined || others.length > 0) throw new Error('not exactly one delivery')
  return delivery
}

export async function attemptsAt(
  api: Api,
  { id }: Pick<WebhookDeliveryInfo, 'id'>,
  query = '',
): Promise<WebhookAttemptInfo[]> {
  const { body } = await api.get(`/api/v1/webhook-deliveries/${id}/attempts${query}`)
  return body.data
}

/** Waits until so many attempts at each delivery to an endpoint are recorded. */
export async function attempted(
  world: World,
  { id }: Pick<AnEndpoint, 'id'>,
  count = 1,
  deadlineMs = 10_000,
): Promise<void> {
  await until(async () => {
    const [row] = await world.query<{ least: number | null }>(
      `select min(attempt_count) as least from webhook_delivery
        where endpoint_id = $1 and event_type = 'client.created'`,
      [id],
    )
    return (row?.least ?? 0) >= count
  }, deadlineMs)
}

/** A worker that is present and does nothing: whose lease is in its name holds on to it. */
export async function aPresence({ ctx }: World) {
  const presence = runPresence(ctx)
  onTestFinished(() => presence.stop())
  await until(presence.isHeld)
  return { token: leaseToken(presence.id, Buffer.from('any')), leaves: presence.stop }
}

/** One more worker on the world's database, in a context of its own. */
export function anotherWorker({ ctx }: World) {
  const own = contextOf(ctx.config, ctx.clock, ctx.db.url)
  const worker = startWorker(own)
  let isStopped = false
  async function stop(drainMs = 5_000): Promise<void> {
    if (isStopped) return
    isStopped = true
    await worker.stop(drainMs)
    await own.egress.close()
    await (own.db as ReturnType<typeof openDatabases>).close()
  }
  onTestFinished(() => stop(0))
  return { ctx: own, worker, stop }
}
