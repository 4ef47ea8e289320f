import { createHash, createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'

export type MacAlgorithm = 'sha1' | 'sha256' | 'sha512'
export type MacEncoding = 'hex' | 'base64' | 'base64url'

/** One who claims to have signed: what was signed, and the signatures that came with it. */
export interface Claim {
  /** The signed content, piece by piece. */
  content: readonly (string | Buffer)[]
  signatures: readonly string[]
  encoding: MacEncoding
  algorithm?: MacAlgorithm
}

/**
 * Whether one of the signatures is the HMAC under one of the keys. Signatures are compared as they
 * are written, since decoders take many texts for the same bytes; hexadecimal digits may be capitals.
 * An empty key signs nothing: everybody knows it.
 */
export function isSigned(claim: Claim, keys: readonly Buffer[]): boolean {
  const { signatures, encoding, algorithm = 'sha256', content } = claim
  const isHex = encoding === 'hex'
  return keys.some((key) => {
    if (key.length === 0) return false
    // Node takes these several times faster than bytes.
    const mac = createHmac(algorithm, createSecretKey(key))
    for (const piece of content) mac.update(piece)
    const expected = mac.digest(encoding)
    return signatures.some((given) => isSameText(isHex ? given.toLowerCase() : given, expected))
  })
}

/** Takes the same time whatever is in the texts and however long the expected one is. */
export function isSameText(given: string, expected: string): boolean {
  return timingSafeEqual(digestOf(given), digestOf(expected))
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

export function textKeys(secrets: readonly string[]): Buffer[] {
  return secrets.map((secret) => Buffer.from(secret))
}

/** Decoders leave out what they do not know, so that many texts would be the same bytes. */
export function isBase64(text: string, encoding: 'base64' | 'base64url' = 'base64'): boolean {
  return text !== '' && Buffer.from(text, encoding).toString(encoding) === text
}
