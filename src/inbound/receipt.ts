import { createHash } from 'node:crypto'
import type { InboundReceiptDetail, InboundReceiptInfo } from '#generated/types.ts'
import type { Cause } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import type { Id } from '#ids.ts'
import { taskName } from '#jobs/task.ts'
import { masked } from './mask.ts'
import type { Accepted, IncomingRequest } from './scheme.ts'
import type { Source } from './source.ts'

/**
 * A *receipt* is one webhook as it was received, once it was verified: its bytes, and what the verdict
 * says of it. A job passes it on as an event of the tenant. What is not what its scheme promises has
 * *drifted*: it is kept and acknowledged like the others, but in quarantine until somebody lets it out.
 */
export interface Receipt {
  id: Id<'rcp'>
  sourceId: string
  scheme: InboundReceiptInfo['scheme']
  status: InboundReceiptInfo['status']
  providerEventId: string | null
  eventType: string | null
  signedAt: Date | null
  isDrift: boolean
  isDeduplicated: boolean
  ip: string | null
  bodyBytes: number
  forwardCount: number
  correlationId: string
  receivedAt: Date
  processedAt: Date | null
}

/** What a webhook consisted of; null once it was erased. */
export interface Payload {
  headers: Readonly<Record<string, string>> | null
  body: Buffer | null
}

/** Passes a receipt on as an event. */
export const forwarding = taskName<{ receiptId: string }>('FORWARD_RECEIPT')

/** Jobs that pass receipts on are the system's own: their success is told by their event. */
export function unasked(cause: Cause): Cause {
  return { ...cause, actor: { type: 'SYSTEM', id: 'inbound' } }
}

/** When and from where a webhook came. */
interface Arrival {
  now: Date
  ip: string | null
  correlationId: string
}

export function newReceipt(
  id: Id<'rcp'>,
  source: Pick<Source, 'id' | 'scheme'>,
  verdict: Accepted,
  body: Buffer,
  { now, ip, correlationId }: Arrival,
): Receipt {
  return {
    id,
    sourceId: source.id,
    scheme: source.scheme,
    status: verdict.isDrift ? 'QUARANTINED' : 'RECEIVED',
    providerEventId: verdict.providerEventId,
    eventType: verdict.eventType,
    signedAt: verdict.signedAt,
    isDrift: verdict.isDrift,
    isDeduplicated: dedupeKeyOf(verdict, body) !== null,
    ip,
    bodyBytes: body.length,
    forwardCount: 0,
    correlationId,
    receivedAt: now,
    processedAt: verdict.isDrift ? now : null,
  }
}

/**
 * By what a second copy of a webhook is known: the sender's id of the event, or else the signed moment
 * with the body, or the body alone where no two are alike. Null where there is nothing of this: the
 * same body twice may well be two events.
 */
export function dedupeKeyOf(
  { providerEventId, signedAt, isBodyUnique }: Accepted,
  body: Buffer,
): Buffer | null {
  const hash = createHash('sha256')
  if (providerEventId !== null) return hash.update(`id ${providerEventId}`).digest()
  if (signedAt !== null) hash.update(`at ${signedAt.toISOString()} `)
  else if (isBodyUnique !== true) return null
  return hash.update(body).digest()
}

/** Headers that say who the sender is, and nothing about what it sends. */
const credentials = new Set(['authorization', 'cookie', 'proxy-authorization', 'x-api-key'])

/** The headers that are kept: none that is, or holds, what the sender authenticates with. */
export function keptHeaders(
  { scheme, settings }: Pick<Source, 'scheme' | 'settings'>,
  headers: IncomingRequest['headers'],
  secrets: readonly string[],
): Record<string, string> {
  // A signature proves one body; a secret or a token in a header of its own opens the door for others.
  const own = scheme === 'HMAC' ? undefined : settings.header?.toLowerCase()
  const kept: [string, string][] = []
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name === own || credentials.has(name)) continue
    if (!secrets.some((secret) => value.includes(secret))) kept.push([name, value])
  }
  return Object.fromEntries(kept)
}

/** The receipt on its way once more; throws `invalid_state` where it is, or has nothing to show. */
export function reprocessed(receipt: Receipt, { body }: Payload): Receipt {
  if (receipt.status === 'RECEIVED') {
    throw problem('invalid_state', { detail: 'The receipt is on its way.' })
  }
  if (body === null) throw problem('invalid_state', { detail: 'The payload was erased.' })
  return { ...receipt, status: 'RECEIVED' }
}

export function toReceipt(receipt: Receipt): InboundReceiptInfo {
  return {
    id: receipt.id,
    sourceId: receipt.sourceId,
    scheme: receipt.scheme,
    status: receipt.status,
    providerEventId: receipt.providerEventId,
    eventType: receipt.eventType,
    signedAt: receipt.signedAt?.toISOString() ?? null,
    isDrift: receipt.isDrift,
    isDeduplicated: receipt.isDeduplicated,
    ip: receipt.ip,
    bodyBytes: receipt.bodyBytes,
    forwardCount: receipt.forwardCount,
    correlationId: receipt.correlationId,
    receivedAt: receipt.receivedAt.toISOString(),
    processedAt: receipt.processedAt?.toISOString() ?? null,
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The receipt with its payload: as text where it is text, and byte for byte, but for the secrets. */
export function toReceiptDetail(
  receipt: Receipt,
  { headers, body }: Payload,
  secrets: readonly string[],
): InboundReceiptDetail {
  const shown = body && masked(body, secrets)
  return {
    ...toReceipt(receipt),
    headers: headers && { ...headers },
    body: shown && textOf(shown),
    bodyBase64: shown?.toString('base64') ?? null,
  }
}

function textOf(body: Buffer): string | null {
  try {
    return utf8.decode(body)
  } catch {
    return null
  }
}
