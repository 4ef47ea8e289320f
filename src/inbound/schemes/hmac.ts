import { type Flaw, type IncomingRequest, refused, type Scheme, type Settings } from '../scheme.ts'
import { describedSettings, describeEvent, flawsOfPointers } from './described.ts'
import { isSigned, type MacAlgorithm, type MacEncoding } from './mac.ts'
import { isTimely, readUnixSeconds, usualToleranceSeconds } from './moment.ts'
import { flawsOfSecrets, headerSetting, numberSetting, textSetting } from './settings.ts'

/**
 * HMAC for senders without a scheme of their own, as their settings have it:
 *
 * - `header` with the signature (`X-Webhook-Signature`), several in it apart by comma, semicolon or
 *   space; `prefix` before each (`sha256=`, `v1=`); `encoding` `HEX`, `BASE64` or `BASE64URL`;
 *   `algorithm` `SHA256`, `SHA1` or `SHA512`.
 * - `signedContent`, a template of `{body}`, `{timestamp}` and `{id}` (`{body}`).
 * - `timestampHeader`, where it is not the header of the signature; `timestampPrefix` (`t=`) where it
 *   stands among other things; `toleranceSeconds`. A time is believed only if it is signed.
 * - `secretEncoding` `TEXT`, `BASE64` or `HEX`: what the secrets are that the key is made from.
 * - where id and type of the event stand (`described.ts`). An id outside the signed content can be
 *   changed by whoever holds a signed request.
 */
export const hmac: Scheme = {
  async verify(request, { now, secrets, settings }) {
    const signatures = itemsOf(request.headers[signatureHeader(settings)], settings, 'prefix')
    if (signatures === undefined) return refused('missing')
    if (signatures.length === 0) return refused('malformed')
    const parts = partsOf(request, settings)
    if (parts === undefined) return refused('missing')
    const signedAt = parts.timestamp === undefined ? null : readTime(parts.timestamp)
    if (signedAt === undefined) return refused('malformed')

    const claim = {
      content: fill(templateOf(settings), request.body, parts),
      signatures,
      encoding: encodings[textSetting(settings, 'encoding') ?? 'HEX'] ?? 'hex',
      algorithm: algorithms[textSetting(settings, 'algorithm') ?? 'SHA256'] ?? 'sha256',
    }
    const keys = secrets.map((secret) => keyOf(secret, settings) ?? Buffer.alloc(0))
    if (!isSigned(claim, keys)) return refused('signature')
    const tolerance = numberSetting(settings, 'toleranceSeconds', usualToleranceSeconds)
    if (signedAt && !isTimely(signedAt, now, tolerance)) return refused('timestamp')
    return { kind: 'accepted', signedAt, ...describeEvent(request, settings) }
  },
  settings: [
    ...['header', 'prefix', 'encoding', 'algorithm', 'secretEncoding', 'signedContent'],
    ...['timestampHeader', 'timestampPrefix', 'toleranceSeconds'],
    ...describedSettings,
  ],
  flaws: ({ secrets, settings }) => [
    ...flawsOfSecrets(
      secrets,
      'must be written as secretEncoding says',
      (secret) => keyOf(secret, settings) !== undefined,
    ),
    ...flawsOfTemplate(settings),
    ...flawsOfPointers(settings),
  ],
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 401 } },
}

const encodings: Readonly<Record<string, MacEncoding>> = {
  HEX: 'hex',
  BASE64: 'base64',
  BASE64URL: 'base64url',
}

const algorithms: Readonly<Record<string, MacAlgorithm>> = {
  SHA1: 'sha1',
  SHA256: 'sha256',
  SHA512: 'sha512',
}

function signatureHeader(settings: Settings): string {
  return headerSetting(settings, 'header') ?? 'x-webhook-signature'
}

/** The items of a header that begin with what a setting says, without it; undefined without header. */
function itemsOf(
  header: string | undefined,
  settings: Settings,
  prefixName: string,
): string[] | undefined {
  if (header === undefined) return undefined
  const prefix = textSetting(settings, prefixName) ?? ''
  const items = header.split(/[,;\s]+/).filter((item) => item.startsWith(prefix))
  return items.map((item) => item.slice(prefix.length)).filter((item) => item !== '')
}

interface Parts {
  timestamp?: string
  id?: string
}

/** What the template asks for beside the body; undefined when the request lacks one of it. */
function partsOf({ headers }: IncomingRequest, settings: Settings): Parts | undefined {
  const template = templateOf(settings)
  const parts: Parts = {}
  if (template.includes('{timestamp}')) {
    const header = headerSetting(settings, 'timestampHeader') ?? signatureHeader(settings)
    // Two times would leave open which of them was judged.
    const [timestamp, ...more] = itemsOf(headers[header], settings, 'timestampPrefix') ?? []
    if (timestamp === undefined || more.length > 0) return undefined
    parts.timestamp = timestamp
  }
  if (template.includes('{id}')) {
    const id = headers[headerSetting(settings, 'eventIdHeader') ?? '']
    if (!id) return undefined
    parts.id = id
  }
  return parts
}

function templateOf(settings: Settings): string {
  return textSetting(settings, 'signedContent') ?? '{body}'
}

function fill(template: string, body: Buffer, { timestamp = '', id = '' }: Parts) {
  const values: Readonly<Record<string, string | Buffer>> = {
    '{body}': body,
    '{timestamp}': timestamp,
    '{id}': id,
  }
  return template.split(/(\{\w+\})/).map((piece) => values[piece] ?? piece)
}

/** Unix seconds or milliseconds, or RFC 3339. */
function readTime(text: string): Date | undefined {
  if (/^\d{12,14}$/.test(text)) return new Date(Number(text))
  if (!/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text)) return readUnixSeconds(text)
  const time = new Date(text)
  return Number.isNaN(time.getTime()) ? undefined : time
}

/** Undefined for a secret that is not what it should be: decoders make less of it, down to nothing. */
function keyOf(secret: string, settings: Settings): Buffer | undefined {
  if (secret === '') return undefined
  switch (textSetting(settings, 'secretEncoding') ?? 'TEXT') {
    case 'BASE64':
      return /^[\w+/-]+={0,2}$/.test(secret) ? Buffer.from(secret, 'base64') : undefined
    case 'HEX':
      return /^([\da-f]{2})+$/i.test(secret) ? Buffer.from(secret, 'hex') : undefined
    default:
      return Buffer.from(secret)
  }
}

function flawsOfTemplate(settings: Settings): Flaw[] {
  const template = templateOf(settings)
  const known = new Set(['{body}', '{timestamp}', '{id}'])
  const found: readonly string[] = template.match(/\{\w*\}/g) ?? []
  const pointer = '/settings/signedContent'
  const flaws: Flaw[] = []
  if (found.some((placeholder) => !known.has(placeholder))) {
    flaws.push({ pointer, message: 'may hold {body}, {timestamp} and {id} only' })
  }
  if (!found.includes('{body}')) flaws.push({ pointer, message: 'must hold {body}' })
  const hasTime = ['timestampHeader', 'timestampPrefix'].some((name) => textSetting(settings, name))
  if (found.includes('{timestamp}') && !hasTime) {
    const message = 'is required by {timestamp} in signedContent'
    flaws.push({ pointer: '/settings/timestampHeader', message })
  }
  if (found.includes('{id}') && !textSetting(settings, 'eventIdHeader')) {
    const message = 'is required by {id} in signedContent'
    flaws.push({ pointer: '/settings/eventIdHeader', message })
  }
  return flaws
}
