import { createHmac, randomUUID } from 'node:crypto'
import { setTimeout as rest } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { answering } from '../child.ts'

/** Senders of webhooks that do not wait for each other's answers. */
export interface Sending {
  sources: readonly { scheme: 'STRIPE' | 'STANDARD_WEBHOOKS'; url: string; secret: string }[]
  perSecond: number
  seconds: number
  bodyBytes: number
}

export interface Sent {
  /** From the moment at which each was to be sent until the end of its answer. */
  timesMs: number[]
  /** How many were answered otherwise than 2xx, and what the first of them was. */
  refused: number
  firstRefusal: string
  /** How late the sender itself was at worst: more than a few ms, and it is what is measured. */
  latestMs: number
}

const dispatcher = new Agent({ connections: 256, keepAliveTimeout: 60_000 })

answering<Sending>(async (sending) => {
  const { sources, perSecond, seconds } = sending
  const sent: Sent = { timesMs: [], refused: 0, firstRefusal: '', latestMs: 0 }
  const underWay: Promise<void>[] = []
  const startMs = performance.now()
  let dueMs = startMs
  for (let number = 0; dueMs < startMs + seconds * 1_000; number += 1) {
    // As strangers come: at random, each by itself.
    dueMs += (-Math.log(1 - Math.random()) * 1_000) / perSecond
    const source = sources[number % sources.length]
    if (source === undefined) break
    const signed = sign(source, bodyOf(sending.bodyBytes))
    while (performance.now() < dueMs) await rest(1)
    sent.latestMs = Math.max(sent.latestMs, performance.now() - dueMs)
    underWay.push(send(source.url, signed, dueMs, sent))
  }
  await Promise.all(underWay)
  return sent
})

async function send(url: string, { headers, body }: Signed, dueMs: number, sent: Sent) {
  const reply = await request(url, { dispatcher, method: 'POST', headers, body })
  const text = await reply.body.text()
  sent.timesMs.push(performance.now() - dueMs)
  if (reply.statusCode < 300) return
  sent.refused += 1
  sent.firstRefusal ||= `${reply.statusCode} ${text}`
}

/** An event of so many bytes that no other is like. */
function bodyOf(bytes: number): string {
  const event = { id: `evt_${randomUUID()}`, type: 'invoice.paid', data: { object: { note: '' } } }
  const missing = bytes - JSON.stringify(event).length
  event.data.object.note = 'x'.repeat(Math.max(0, missing))
  return JSON.stringify(event)
}

interface Signed {
  headers: Record<string, string>
  body: string
}

function sign({ scheme, secret }: Sending['sources'][number], body: string): Signed {
  const at = String(Math.floor(Date.now() / 1_000))
  const type = { 'content-type': 'application/json' }
  if (scheme === 'STRIPE') {
    const mac = createHmac('sha256', secret).update(`${at}.${body}`).digest('hex')
    return { body, headers: { ...type, 'stripe-signature': `t=${at},v1=${mac}` } }
  }
  const id = `msg_${randomUUID()}`
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const mac = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')
  const signed = { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': `v1,${mac}` }
  return { body, headers: { ...type, ...signed } }
}
