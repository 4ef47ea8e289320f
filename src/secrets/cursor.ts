import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
} from 'node:crypto'
import type { Keyring } from './keyring.ts'

/**
 * A *cursor* is the place in a list where the next page begins, sealed: its bearer can neither
 * read nor make one, nor use it on another list. The *bindings* name the list (tenant, operation,
 * sort, filters); the keys are derived from them, so that a foreign cursor simply does not open.
 * The nonce is derived from the value: one place has one cursor, so that the same page is the
 * same bytes, and no amount of paging can use a nonce for two values by chance of a bad generator.
 */
const version = 1
const nonceBytes = 12
const tagBytes = 16
const overheadBytes = 1 + nonceBytes + tagBytes

/** What we give out and take back, in characters; a sort key is far shorter. */
export const cursorLengthMax = 2048

/** Throws for a value that is no JSON or makes too long a cursor: both are our mistake. */
export function sealCursor(keyring: Keyring, bindings: string, value: unknown): string {
  const plain = JSON.stringify(value)
  if (plain === undefined) throw new TypeError('A cursor holds a JSON value.')

  const { key, nonceKey } = keysOf(keyring, bindings)
  const nonce = createHmac('sha256', nonceKey).update(plain).digest().subarray(0, nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const ciphertext = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
  const sealed = Buffer.concat([Buffer.of(version), nonce, ciphertext, cipher.getAuthTag()])

  const text = sealed.toString('base64url')
  if (text.length > cursorLengthMax) throw new RangeError('The value is too long for a cursor.')
  return text
}

/** Undefined for anything that `sealCursor` did not make for these bindings. */
export function openCursor(keyring: Keyring, bindings: string, text: string): unknown | undefined {
  if (text.length > cursorLengthMax || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined
  const sealed = Buffer.from(text, 'base64url')
  if (sealed.length < overheadBytes || sealed[0] !== version) return undefined
  if (sealed.toString('base64url') !== text) return undefined

  const { key } = keysOf(keyring, bindings)
  const nonce = sealed.subarray(1, 1 + nonceBytes)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  decipher.setAuthTag(sealed.subarray(-tagBytes))
  try {
    const plain = [decipher.update(sealed.subarray(1 + nonceBytes, -tagBytes)), decipher.final()]
    return JSON.parse(Buffer.concat(plain).toString('utf8'))
  } catch {
    return undefined
  }
}

/** As `KeyObject`s, which Node takes several times faster than bytes. */
function keysOf(keyring: Keyring, bindings: string): { key: KeyObject; nonceKey: KeyObject } {
  const both = createHmac('sha512', keyring.keys.cursor).update(bindings).digest()
  return {
    key: createSecretKey(both.subarray(0, 32)),
    nonceKey: createSecretKey(both.subarray(32)),
  }
}
