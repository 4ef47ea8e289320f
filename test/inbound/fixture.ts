import { createHmac } from 'node:crypto'
import type { Api, World } from '../world.ts'

/** The secret that sources here have, unless a test says otherwise. */
export const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

export interface Sent {
  id?: string
  at?: Date
  body?: string | Buffer
  /** What is signed, where that is not what is sent. */
  signs?: string | Buffer
  signedWith?: string
  headers?: Record<string, string>
}

/** A source of Standard Webhooks, and how its sender sends. */
export async function aSource(world: World, api: Api, more: object = {}) {
  const input = { name: 'Shop', scheme: 'STANDARD_WEBHOOKS', secrets: [secret], ...more }
  const { status, body } = await api.post('/api/v1/inbound-sources', input)
  if (status !== 201) throw new Error(JSON.stringify(body))
  const url = `${world.url}/hooks/${body.id}`
  return {
    id: body.id as string,
    path: `/api/v1/inbound-sources/${body.id}`,
    url,
    send: (sent: Sent = {}) => send(world, url, sent),
  }
}

let count = 0

async function send(world: World, url: string, sent: Sent) {
  count += 1
  const { id = `msg_${count}`, at = world.ctx.clock.now(), signedWith = secret } = sent
  const { body = JSON.stringify({ type: 'order.paid', data: { count } }), signs = body } = sent
  const timestamp = String(Math.floor(at.getTime() / 1_000))
  const key = Buffer.from(signedWith.slice('whsec_'.length), 'base64')
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(signs).digest('base64')
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${mac}`,
      ...sent.headers,
    },
    body: body as string,
  })
  const text = await response.text()
  const isProblem = response.headers.get('content-type')?.includes('json')
  return {
    status: response.status,
    headers: response.headers,
    body: isProblem ? JSON.parse(text) : text,
  }
}

/** The receipts of a source, oldest first, as they lie in the database. */
export function receiptsOf(world: World, sourceId: string) {
  return world.query<{
    id: string
    status: string
    body: Buffer | null
    headers: Record<string, string> | null
    provider_event_id: string | null
    signed_at: Date | null
    forward_count: number
  }>('select * from inbound_receipt where source_id = $1 order by id', [sourceId])
}

/** What the tenant was told of the webhooks of a source. */
export async function eventsOf(api: Api, sourceId: string) {
  const { body } = await api.get('/api/v1/events?eventType=inbound.received&limit=200')
  return body.data.filter(
    (event: { data: { sourceId: string } }) => event.data.sourceId === sourceId,
  )
}

/** Something that was received from a source of its own; answers the receipt's id. */
export async function receive(world: World, api: Api): Promise<string> {
  const source = await aSource(world, api)
  const { status } = await source.send()
  const [receipt] = await receiptsOf(world, source.id)
  if (status !== 200 || receipt === undefined) throw new Error(`a webhook was answered ${status}`)
  return receipt.id
}
