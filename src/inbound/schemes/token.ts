import {
  createPublicKey,
  verify as isVerified,
  type JsonWebKeyInput,
  type KeyObject,
} from 'node:crypto'
import type { FetchKeys, RefusalReason } from '../scheme.ts'
import { isBase64 } from './mac.ts'
import { isObject, type Members, readJson, valueAt } from './payload.ts'

/** What a token has to say to be believed. */
export interface TokenRules {
  /** Where its issuer publishes the keys (JWKS, RFC 7517). */
  keysUrl: string
  issuers: readonly string[] | ((claims: Members) => boolean)
  /** The token is for one of these. */
  audiences: readonly string[]
}

export type TokenVerdict =
  | { kind: 'accepted'; claims: Members; issuedAt: Date | null }
  | { kind: 'refused'; reason: RefusalReason }
  | { kind: 'unavailable' }

/**
 * Judges a signed token (JWT, RFC 7519, held to RFC 8725): by asymmetric algorithms alone, so that a
 * public key can never be taken for a secret; the key decides which of them. Times are in order
 * within a minute, and a token without an end is none.
 */
export async function judgeToken(
  token: string,
  rules: TokenRules,
  now: Date,
  fetchKeys: FetchKeys,
): Promise<TokenVerdict> {
  const parts = readToken(token)
  if (parts === undefined) return refused('malformed')
  const algorithm = algorithms[parts.name]
  if (algorithm === undefined) return refused('malformed')
  // What is said costs nothing to judge; keys are fetched, and signatures verified, for the rest alone.
  const verdict = judgeClaims(parts.claims, rules, now)
  if (verdict.kind !== 'accepted') return verdict
  const keys = await findKeys(parts, algorithm, rules.keysUrl, fetchKeys)
  if (keys === undefined) return { kind: 'unavailable' }
  if (keys.length === 0) return refused('key')
  return keys.some((key) => isSignedWith(key, algorithm, parts)) ? verdict : refused('signature')
}

/** The token of `Authorization: Bearer …`. */
export function bearerOf(header: string): string | undefined {
  return /^bearer +(\S+) *$/i.exec(header)?.[1]
}

interface Parts {
  name: string
  keyId: string | undefined
  claims: Members
  signed: Buffer
  signature: Buffer
}

/** As long as headers may be; what is longer is no token of anybody's. */
const tokenLengthMax = 16 * 1024

function readToken(token: string): Parts | undefined {
  if (token.length > tokenLengthMax) return undefined
  const [head = '', body = '', signature = '', ...more] = token.split('.')
  const areWritten = [head, body, signature].every((part) => isBase64(part, 'base64url'))
  if (!areWritten || more.length > 0) return undefined
  const header = readJson(Buffer.from(head, 'base64url'))
  const claims = readJson(Buffer.from(body, 'base64url'))
  // Extensions that must be understood (`crit`): none is.
  if (!isObject(header) || !isObject(claims) || 'crit' in header) return undefined
  const { alg, kid } = header
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return undefined
  const signed = Buffer.from(`${head}.${body}`)
  return { name: alg, keyId: kid, claims, signed, signature: Buffer.from(signature, 'base64url') }
}

interface Algorithm {
  hash: string | null
  isFit(key: KeyObject): boolean
  isPss?: boolean
}

/** Verifying takes longer with each bit of either: others choose these keys, and we wait. */
const rsa = { bitsMin: 2_048, bitsMax: 4_096, exponentMax: 0xffffffffn }

function isRsa({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): boolean {
  const { modulusLength: bits = 0, publicExponent: exponent = rsa.exponentMax + 1n } = details ?? {}
  const isSound = bits >= rsa.bitsMin && bits <= rsa.bitsMax && exponent <= rsa.exponentMax
  return type === 'rsa' && isSound
}

const isOnCurve = (curve: string) => (key: KeyObject) =>
  key.asymmetricKeyDetails?.namedCurve === curve

const algorithms: Readonly<Record<string, Algorithm | undefined>> = Object.assign(
  Object.create(null),
  {
    RS256: { hash: 'sha256', isFit: isRsa },
    RS384: { hash: 'sha384', isFit: isRsa },
    RS512: { hash: 'sha512', isFit: isRsa },
    PS256: { hash: 'sha256', isFit: isRsa, isPss: true },
    PS384: { hash: 'sha384', isFit: isRsa, isPss: true },
    PS512: { hash: 'sha512', isFit: isRsa, isPss: true },
    ES256: { hash: 'sha256', isFit: isOnCurve('prime256v1') },
    ES384: { hash: 'sha384', isFit: isOnCurve('secp384r1') },
    EdDSA: { hash: null, isFit: (key: KeyObject) => key.asymmetricKeyType === 'ed25519' },
  },
)

/** PKCS #1 and PSS, as OpenSSL numbers them; a salt is as long as its hash (RFC 7518 §3.5). */
const padding = { pkcs1: 1, pss: 6 }
const saltLengthOfHash = -1

function isSignedWith(key: KeyObject, { hash, isPss }: Algorithm, parts: Parts): boolean {
  const isOfRsa = key.asymmetricKeyType === 'rsa'
  const padded = isPss
    ? { padding: padding.pss, saltLength: saltLengthOfHash }
    : { padding: padding.pkcs1 }
  const shape = isOfRsa ? padded : ({ dsaEncoding: 'ieee-p1363' } as const)
  return isVerified(hash, parts.signed, { key, ...shape }, parts.signature)
}

/** A set may have so many keys, and so many of them may have signed one token. */
const keysMax = 20
const fitMax = 4

/**
 * The keys that may have signed it. A key that is not among the known ones may be a new one, so that
 * they are asked for anew; undefined when they cannot be had.
 */
async function findKeys(
  parts: Parts,
  algorithm: Algorithm,
  url: string,
  fetchKeys: FetchKeys,
): Promise<KeyObject[] | undefined> {
  for (const isAnew of [false, true]) {
    const set = await fetchSet(url, isAnew, fetchKeys)
    if (set === undefined) return undefined
    const meant = set.filter((known) => isMeant(known, parts)).map(({ key }) => key)
    const fit = meant.filter(algorithm.isFit)
    if (fit.length > 0) return fit.slice(0, fitMax)
  }
  return []
}

/** A key as it is used, and what its set says of it. */
interface KnownKey {
  key: KeyObject
  id: unknown
  algorithm: unknown
}

async function fetchSet(url: string, isAnew: boolean, fetchKeys: FetchKeys) {
  try {
    return await fetchKeys(url, readSet, { isAnew })
  } catch {
    return undefined
  }
}

/** The keys of a set that are for signing; undefined when the text is no set. */
function readSet(text: string): KnownKey[] | undefined {
  const keys = valueAt(readJson(Buffer.from(text)), 'keys')
  if (!Array.isArray(keys)) return undefined
  const isForSigning = ({ use }: Members) => use === undefined || use === 'sig'
  return keys.filter(isObject).filter(isForSigning).slice(0, keysMax).flatMap(readKey)
}

function isMeant({ id, algorithm }: KnownKey, { keyId, name }: Parts): boolean {
  return (keyId === undefined || id === keyId) && (algorithm === undefined || algorithm === name)
}

function readKey(jwk: Members): KnownKey[] {
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' } as JsonWebKeyInput)
    return [{ key, id: jwk.kid, algorithm: jwk.alg }]
  } catch {
    return []
  }
}

/** By how much the clocks of issuer and reader may differ. */
const leewaySeconds = 60

function judgeClaims(claims: Members, rules: TokenRules, now: Date): TokenVerdict {
  const { iss, aud, exp, nbf = 0, iat = 0 } = claims
  const { issuers, audiences } = rules
  const isIssuer =
    typeof issuers === 'function'
      ? issuers(claims)
      : typeof iss === 'string' && issuers.includes(iss)
  const isForUs = [aud].flat().some((one) => typeof one === 'string' && audiences.includes(one))
  if (!isIssuer || !isForUs) return refused('key')

  if (typeof exp !== 'number' || typeof nbf !== 'number' || typeof iat !== 'number' || iat < 0) {
    return refused('malformed')
  }
  const nowSeconds = now.getTime() / 1000
  const isOver = exp + leewaySeconds <= nowSeconds
  if (isOver || Math.max(nbf, iat) - leewaySeconds > nowSeconds) return refused('timestamp')
  return { kind: 'accepted', claims, issuedAt: iat === 0 ? null : new Date(iat * 1000) }
}

function refused(reason: RefusalReason): TokenVerdict {
  return { kind: 'refused', reason }
}
