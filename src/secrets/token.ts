import { createHmac, timingSafeEqual } from 'node:crypto'
import { base62, base62OfNumber } from './base62.ts'
import type { Keyring } from './keyring.ts'

/**
 * An *API key* is `ubk_live_`, `ubk_test_` or `ubk_op_`, 43 characters of randomness (256 bits)
 * and 6 characters of *checksum*. One keyed digest of all that stands before the checksum gives
 * both what we store (32 bytes) and the checksum (35 bits of the rest). So a stolen table opens
 * nothing without the master key, and an invented key, however well formed, is refused without
 * a query. 256 random bits need no slow password hash (OWASP ASVS 5.0 §6.5.2).
 */
export type ApiKeyKind = 'live' | 'test' | 'op'

export interface NewApiKey {
  /** The whole key: shown once, stored nowhere. */
  readonly key: string
  readonly hash: Buffer
  /** The beginning, by which its owner recognises it. */
  readonly prefix: string
}

const bodyLength = 43
const checksumLength = 6
const shownLength = 4
const hashBytes = 32
const shape = /^ubk_(live|test|op)_[0-9A-Za-z]{49}$/

export function newApiKey(
  keyring: Keyring,
  kind: ApiKeyKind,
  randomBytes: (size: number) => Buffer,
): NewApiKey {
  const lead = `ubk_${kind}_`
  const body = base62(randomBytes(32), bodyLength)
  const { hash, checksum } = digestOf(keyring, lead + body)
  return { key: lead + body + checksum, hash, prefix: lead + body.slice(0, shownLength) }
}

/** Whether a text holds what looks like a secret of ours: such a text is not to be written down. */
export function holdsSecret(text: string): boolean {
  return /(?:ubk_(?:live|test|op)|whsec)_/.test(text)
}

/** Takes whatever a stranger sent; undefined for everything that we did not make. */
export function readApiKey(
  keyring: Keyring,
  text: string,
): { kind: ApiKeyKind; hash: Buffer } | undefined {
  const kind = shape.exec(text)?.[1]
  if (kind !== 'live' && kind !== 'test' && kind !== 'op') return undefined

  const { hash, checksum } = digestOf(keyring, text.slice(0, -checksumLength))
  const given = Buffer.from(text.slice(-checksumLength), 'latin1')
  return timingSafeEqual(given, Buffer.from(checksum, 'latin1')) ? { kind, hash } : undefined
}

function digestOf(keyring: Keyring, lead: string): { hash: Buffer; checksum: string } {
  const digest = createHmac('sha512', keyring.keys['api-key']).update(lead).digest()
  const rest = digest.readUIntBE(hashBytes, 5) % 2 ** 35
  return { hash: digest.subarray(0, hashBytes), checksum: base62OfNumber(rest, checksumLength) }
}
