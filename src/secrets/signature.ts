import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  sign,
} from 'node:crypto'

/**
 * A *signature* lets the receiver of a webhook know that we sent these very bytes. Standard
 * Webhooks 1.0.0 (`webhook-signature: v1,<base64>`) covers id, time and raw body, one signature
 * for each secret, so that a receiver can change secrets without losing an event; its key is the
 * base64 part of the secret, decoded. `v1a,<base64>` beside or in place of it is Ed25519 over the
 * same bytes, which whoever has the public key can verify and nobody else can make.
 * `X-UBOS-Signature`, as our integration guide has it, is the hex HMAC-SHA256 of the raw body with
 * the whole secret as text; it holds one value, so that it is made with the first secret alone:
 * the oldest that still signs, since nobody can know a newer one at the moment of its making.
 */
export interface Signable {
  readonly id: string
  /** Unix seconds of this attempt, not of the event. */
  readonly timestampSeconds: number
  readonly body: Buffer
  /** `whsec_…`, the one for `X-UBOS-Signature` first; more than one while secrets change. */
  readonly secrets: readonly (string | SigningKey)[]
  /** Which kinds of signature are made; `V1` alone unless told otherwise. */
  readonly schemes?: readonly ('V1' | 'V1A')[]
  /** Private keys of Ed25519, for `V1A`. */
  readonly privateKeys?: readonly KeyObject[]
}

/** A secret made ready: making keys of it takes longer than signing by them. */
export interface SigningKey {
  readonly decoded: KeyObject
  readonly text: KeyObject
}

const secretPrefix = 'whsec_'

/** 32 random bytes, as other people's libraries take them. */
export function newSigningSecret(randomBytes: (size: number) => Buffer): string {
  return secretPrefix + randomBytes(32).toString('base64')
}

export function signatureHeaders(signable: Signable): Record<string, string> {
  const { id, timestampSeconds, body, secrets, schemes = ['V1'], privateKeys = [] } = signable
  const keys = secrets.map((secret) => (typeof secret === 'string' ? signingKey(secret) : secret))
  const [first] = keys
  if (first === undefined) throw new TypeError('A webhook is signed with at least one secret.')

  const lead = `${id}.${timestampSeconds}.`
  const signatures = [
    ...(schemes.includes('V1') ? keys.map(({ decoded }) => v1(decoded, lead, body)) : []),
    ...(schemes.includes('V1A') ? privateKeys.map((key) => v1a(key, lead, body)) : []),
  ]
  if (signatures.length === 0) throw new TypeError('Nothing is sent unsigned.')
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signatures.join(' '),
    'x-ubos-signature': hmac(first.text, '', body, 'hex'),
  }
}

/** Node takes a `KeyObject` eight times faster than the same bytes in a `Buffer`. */
export function signingKey(secret: string): SigningKey {
  return {
    decoded: createSecretKey(secret.slice(secretPrefix.length), 'base64'),
    text: createSecretKey(secret, 'utf8'),
  }
}

function v1(key: KeyObject, lead: string, body: Buffer): string {
  return `v1,${hmac(key, lead, body, 'base64')}`
}

function v1a(key: KeyObject, lead: string, body: Buffer): string {
  return `v1a,${sign(null, Buffer.concat([Buffer.from(lead), body]), key).toString('base64')}`
}

export interface NewKeyPair {
  /** 32 bytes, of which the private key is made. */
  readonly seed: Buffer
  /** 32 bytes in base64. */
  readonly publicKey: string
}

export function newKeyPair(randomBytes: (size: number) => Buffer): NewKeyPair {
  const seed = randomBytes(32)
  const { x = '' } = createPublicKey(privateKey(seed)).export({ format: 'jwk' })
  return { seed, publicKey: Buffer.from(x, 'base64url').toString('base64') }
}

/** What stands before the seed in PKCS #8 (RFC 8410 §7). */
const seedLead = Buffer.from('302e020100300506032b657004220420', 'hex')

export function privateKey(seed: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([seedLead, seed]), format: 'der', type: 'pkcs8' })
}

function hmac(key: KeyObject, lead: string, body: Buffer, encoding: 'base64' | 'hex'): string {
  return createHmac('sha256', key).update(lead).update(body).digest(encoding)
}
