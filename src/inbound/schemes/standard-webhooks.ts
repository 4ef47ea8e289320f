import { createPublicKey, verify as isVerified, type KeyObject } from 'node:crypto'
import { type IncomingRequest, refused, type Scheme } from '../scheme.ts'
import { isSigned } from './mac.ts'
import { isTimely, readUnixSeconds, usualToleranceSeconds } from './moment.ts'
import { isObject, nameOf, readJson, valueAt } from './payload.ts'
import { flawsOfSecrets, numberSetting } from './settings.ts'

/**
 * Standard Webhooks 1.0.0, and Svix, which it grew from: id, time and body are signed together, with
 * HMAC-SHA256 (`v1`) or Ed25519 (`v1a`). Secrets are `whsec_…` or its base64 part alone, public keys
 * `whpk_…`. Settings: `toleranceSeconds`.
 */
export const standardWebhooks: Scheme = {
  async verify(request, { now, secrets, settings }) {
    const stamp = readStamp(request.headers)
    if (stamp === undefined) return refused('missing')
    const signedAt = readUnixSeconds(stamp.timestamp)
    if (signedAt === undefined) return refused('malformed')

    const lead = `${stamp.id}.${stamp.timestamp}.`
    if (!isSignedByOne(lead, request.body, stamp.signature, secrets)) return refused('signature')
    const tolerance = numberSetting(settings, 'toleranceSeconds', usualToleranceSeconds)
    if (!isTimely(signedAt, now, tolerance)) return refused('timestamp')

    const payload = readJson(request.body)
    const eventType = nameOf(valueAt(payload, 'type'))
    const providerEventId = nameOf(stamp.id)
    return { kind: 'accepted', providerEventId, signedAt, eventType, isDrift: !isObject(payload) }
  },
  settings: ['toleranceSeconds'],
  flaws: ({ secrets }) =>
    flawsOfSecrets(
      secrets,
      'must be a secret in base64, with or without `whsec_`, or a public key `whpk_…`',
      (secret) => hmacKey(secret) !== undefined || ed25519Key(secret) !== undefined,
    ),
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 401 } },
}

interface Stamp {
  id: string
  timestamp: string
  signature: string
}

/** All three of one prefix: half of the one and half of the other say nothing together. */
function readStamp(headers: IncomingRequest['headers']): Stamp | undefined {
  for (const prefix of ['webhook', 'svix']) {
    const id = headers[`${prefix}-id`]
    const timestamp = headers[`${prefix}-timestamp`]
    const signature = headers[`${prefix}-signature`]
    if (id && timestamp && signature) return { id, timestamp, signature }
  }
  return undefined
}

function isSignedByOne(
  lead: string,
  body: Buffer,
  header: string,
  secrets: readonly string[],
): boolean {
  const signatures = header.split(' ')
  const symmetric = versioned(signatures, 'v1,')
  const keys = secrets.map(hmacKey).filter((key) => key !== undefined)
  const claim = { content: [lead, body], signatures: symmetric, encoding: 'base64' } as const
  if (isSigned(claim, keys)) return true

  const content = Buffer.concat([Buffer.from(lead), body])
  const asymmetric = versioned(signatures, 'v1a,').map((text) => Buffer.from(text, 'base64'))
  const publicKeys = secrets.map(ed25519Key).filter((key) => key !== undefined)
  return publicKeys.some((key) => asymmetric.some((one) => isVerified(null, content, key, one)))
}

function versioned(signatures: readonly string[], version: string): string[] {
  return signatures
    .filter((text) => text.startsWith(version))
    .map((text) => text.slice(version.length))
}

function hmacKey(secret: string): Buffer | undefined {
  return secret.startsWith('whpk_') ? undefined : decode(secret.replace(/^whsec_/, ''))
}

/** What comes before the 32 bytes of an Ed25519 key in its DER form (RFC 8410). */
const ed25519Lead = Buffer.from('302a300506032b6570032100', 'hex')

function ed25519Key(secret: string): KeyObject | undefined {
  const raw = secret.startsWith('whpk_') ? decode(secret.replace('whpk_', '')) : undefined
  if (raw?.length !== 32) return undefined
  const key = Buffer.concat([ed25519Lead, raw])
  return createPublicKey({ key, format: 'der', type: 'spki' })
}

/** Undefined for what is not base64: decoders leave out what they do not know, down to nothing. */
function decode(text: string): Buffer | undefined {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
}
