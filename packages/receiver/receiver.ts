/*! Verifies webhooks by Standard Webhooks 1.0.0. No dependencies; needs Web Crypto only. */

/**
 * A webhook is *genuine* when one of its signatures was made with one of the keys that you have, and
 * its time is near yours. It may still be a *repetition*: whatever was not answered with 2xx comes
 * again under the same id.
 */
export interface VerifierOptions {
  /**
   * Secrets (`whsec_…`, signatures `v1`) and public keys (`whpk_…`, or a JWK of Ed25519, signatures
   * `v1a`), all that are in use: several while they change.
   */
  readonly keys: readonly (string | PublicJwk)[]
  /** How far the time of a webhook may be from yours, before or behind; 300 unless you say so. */
  readonly toleranceSeconds?: number
  /**
   * Remembers an id and answers whether it is new, in one step, such as an insert that does nothing on
   * conflict; in the transaction that does the work, or else what fails after it is never done.
   * Without it nothing is said about repetitions. Only genuine webhooks are asked about.
   */
  readonly remember?: (id: string, sentAt: Date) => boolean | Promise<boolean>
  /** Your time in milliseconds since 1970; `Date.now` unless you say so. */
  readonly now?: () => number
}

/** A public key as RFC 8037 writes it; other members may be there. */
export interface PublicJwk {
  readonly kty: string
  readonly crv?: string
  /** 32 bytes in base64url. */
  readonly x?: string
  /** What is sent from this moment on is not signed by it any more. */
  readonly expiresAt?: string | null
}

/** `Headers`, or an object such as Node's `request.headers`. */
export type WebhookHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>

export interface WebhookRequest {
  readonly headers: WebhookHeaders
  /** The body as it came, before anything parsed it. */
  readonly body: string | Uint8Array | ArrayBuffer
}

/** What every webhook of ours holds; give your own type for more. */
export interface WebhookEvent {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly timestamp: string
  readonly data: unknown
  readonly changedFields?: readonly string[]
  /** Nothing of it has happened: somebody tries the endpoint. */
  readonly isTest?: true
}

export interface VerifiedWebhook<Event> {
  /** The same for all repetitions. */
  readonly id: string
  /** When this attempt was sent. */
  readonly sentAt: Date
  /** Whether `remember` knew the id; answer 2xx and do nothing. */
  readonly isRepetition: boolean
  readonly event: Event
}

export type WebhookRefusal =
  | 'missing_header'
  | 'malformed_header'
  | 'too_old'
  | 'too_new'
  | 'wrong_signature'
  | 'malformed_body'

/** The webhook is not genuine: answer 400 and do nothing. `code` says why. */
export class WebhookRefused extends Error {
  override readonly name: string = 'WebhookRefused'
  readonly code: WebhookRefusal
  constructor(code: WebhookRefusal, message: string) {
    super(message)
    this.code = code
  }
}

/** Answers what is genuine, and throws `WebhookRefused` for all else. */
export type WebhookVerifier<Event> = (request: WebhookRequest) => Promise<VerifiedWebhook<Event>>

const versions = {
  v1: { algorithm: { name: 'HMAC', hash: 'SHA-256' }, signatureBytes: 32 },
  v1a: { algorithm: { name: 'Ed25519' }, signatureBytes: 64 },
} as const
type Version = keyof typeof versions

interface Key extends Pick<Material, 'version' | 'endsMs'> {
  readonly key: Awaited<ReturnType<typeof crypto.subtle.importKey>>
}

/** Makes a verifier once, for all requests. Throws a `TypeError` for what is no key. */
export function webhookVerifier<Event = WebhookEvent>(
  options: VerifierOptions,
): WebhookVerifier<Event> {
  const { keys, toleranceSeconds = 300, remember, now = Date.now } = options
  if (keys.length === 0) throw new TypeError('Without a key nothing can be verified.')
  const materials = keys.map(materialOf)
  let imported: Promise<Key[]> | undefined

  return async ({ headers, body }) => {
    const [id, timestamp, signature] = signedHeaders(headers)
    if (!/^\d{1,11}$/.test(timestamp)) throw malformed('timestamp')
    const sentAt = new Date(Number(timestamp) * 1_000)
    const behindSeconds = Math.floor(now() / 1_000) - Number(timestamp)

    imported ??= Promise.all(materials.map(keyOf))
    const bytes = bytesOf(body)
    const signed = joined(new TextEncoder().encode(`${id}.${timestamp}.`), bytes)
    const inUse = (await imported).filter(({ endsMs }) => sentAt.getTime() < endsMs)
    if (!(await isSigned(inUse, signature, signed))) {
      throw new WebhookRefused('wrong_signature', 'No signature fits any of your keys.')
    }
    if (behindSeconds > toleranceSeconds) {
      throw new WebhookRefused('too_old', `It was sent ${behindSeconds} seconds ago.`)
    }
    if (-behindSeconds > toleranceSeconds) {
      throw new WebhookRefused(
        'too_new',
        `It was sent ${-behindSeconds} seconds ahead of your time.`,
      )
    }
    const event = parsed(bytes) as Event
    const isRepetition = remember !== undefined && !(await remember(id, sentAt))
    return { id, sentAt, isRepetition, event }
  }
}

/** The same for a single request; whoever has many makes a verifier. */
export function verifyWebhook<Event = WebhookEvent>(
  request: WebhookRequest,
  options: VerifierOptions,
): Promise<VerifiedWebhook<Event>> {
  return webhookVerifier<Event>(options)(request)
}

/** Services that sign in the same way name their headers `svix-`. */
const prefixes = ['webhook', 'svix']

function signedHeaders(
  headers: WebhookHeaders,
): [id: string, timestamp: string, signature: string] {
  const read = readerOf(headers)
  const prefix = prefixes.find((one) => read(`${one}-signature`) !== undefined) ?? 'webhook'
  const [id, timestamp, signature] = ['id', 'timestamp', 'signature'].map((name) => {
    const value = read(`${prefix}-${name}`)
    if (value) return value
    throw new WebhookRefused('missing_header', `The header ${prefix}-${name} is missing.`)
  }) as [string, string, string]
  // With a dot in it, the id could take over the beginning of what is signed after it.
  if (id.includes('.')) throw malformed('id')
  return [id, timestamp, signature]
}

function readerOf(headers: WebhookHeaders): (name: string) => string | undefined {
  if (typeof headers.get === 'function') {
    const { get } = headers
    return (name) => get.call(headers, name) ?? undefined
  }
  const byName = new Map<string, string>()
  for (const [name, value] of Object.entries(headers)) {
    // Given twice is given wrongly: it could mean one thing to us and another to those before us.
    if (typeof value === 'string') byName.set(name.toLowerCase(), value)
  }
  return (name) => byName.get(name)
}

/** More signatures than anybody needs, fewer than would keep a receiver busy. */
const signaturesMax = 64

async function isSigned(keys: Key[], header: string, signed: Bytes): Promise<boolean> {
  const parts = header.split(' ')
  if (parts.length > signaturesMax) throw malformed('signature')
  for (const part of parts) {
    const comma = part.indexOf(',')
    const version = part.slice(0, comma)
    if (version !== 'v1' && version !== 'v1a') continue
    const { algorithm, signatureBytes } = versions[version]
    const signature = decoded(part.slice(comma + 1))
    if (signature?.length !== signatureBytes) continue
    for (const one of keys) {
      if (one.version !== version) continue
      // Web Crypto compares in a time that does not depend on the bytes.
      if (await crypto.subtle.verify(algorithm, one.key, signature, signed)) return true
    }
  }
  return false
}

interface Material {
  readonly version: Version
  readonly bytes: Bytes
  /** In milliseconds since 1970. */
  readonly endsMs: number
}

function materialOf(key: string | PublicJwk): Material {
  const bad = new TypeError('A key is whsec_…, whpk_…, or the JWK of an Ed25519 public key.')
  const text = typeof key === 'string' ? key : fromJwk(key)
  const isPublic = text.startsWith('whpk_')
  const bytes = decoded(text.replace(/^wh(sec|pk)_/, ''))
  if (bytes === undefined) throw bad
  if (isPublic ? bytes.length !== 32 : bytes.length < 16) throw bad
  const expiresAt = typeof key === 'string' ? null : (key.expiresAt ?? null)
  const endsMs = expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt)
  return { version: isPublic ? 'v1a' : 'v1', bytes, endsMs }
}

function fromJwk({ kty, crv, x = '' }: PublicJwk): string {
  if (kty !== 'OKP' || crv !== 'Ed25519') return '?'
  return `whpk_${x.replace(/-/g, '+').replace(/_/g, '/')}=`
}

async function keyOf({ version, bytes, endsMs }: Material): Promise<Key> {
  const { algorithm } = versions[version]
  return {
    ...{ version, endsMs },
    key: await crypto.subtle.importKey('raw', bytes, algorithm, false, ['verify']),
  }
}

type Bytes = Uint8Array<ArrayBuffer>

/** Undefined for what is no base64, also where other bits would decode to the same bytes. */
function decoded(base64: string): Bytes | undefined {
  try {
    const binary = atob(base64)
    if (btoa(binary) !== base64) return undefined
    return Uint8Array.from(binary, (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}

function bytesOf(body: string | Uint8Array | ArrayBuffer): Uint8Array {
  if (typeof body === 'string') return new TextEncoder().encode(body)
  if (body instanceof Uint8Array) return body
  // Also an ArrayBuffer of another realm, and a body that somebody parsed already is refused.
  if (Object.prototype.toString.call(body) === '[object ArrayBuffer]') return new Uint8Array(body)
  throw new TypeError(
    'The body must be what was received: a string, a Uint8Array or an ArrayBuffer.',
  )
}

function joined(head: Uint8Array, tail: Uint8Array): Bytes {
  const all = new Uint8Array(head.length + tail.length)
  all.set(head)
  all.set(tail, head.length)
  return all
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new WebhookRefused('malformed_body', 'It is genuine, but its body is not JSON in UTF-8.')
  }
}

function malformed(name: string): WebhookRefused {
  return new WebhookRefused('malformed_header', `The header for the ${name} cannot be read.`)
}
