import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { Keyring } from './keyring.ts'

/**
 * A *seal* keeps a secret at rest (AES-256-GCM) and ties it to its place: a sealed value that
 * is moved to another tenant, table, row or column does not open there. The bytes are
 * version (1) · key id (4) · nonce (12) · ciphertext · tag (16).
 */
export interface Place {
  readonly tenantId: string
  readonly table: string
  readonly rowId: string
  readonly column: string
}

export interface Seal {
  seal(place: Place, plain: string | Buffer): Buffer
  /** Throws `SealBroken` for anything that was not sealed for this place with this key. */
  open(place: Place, sealed: Buffer): Buffer
}

export class SealBroken extends Error {
  override readonly name = 'SealBroken'
}

const version = 1
const headBytes = 5
const nonceBytes = 12
const tagBytes = 16

/** The nonce is random: good for 2^32 seals by one master key (NIST SP 800-38D §8.3). */
export function createSeal(keyring: Keyring, randomBytes: (size: number) => Buffer): Seal {
  const key = keyring.keys.seal
  const head = Buffer.concat([Buffer.of(version), Buffer.from(keyring.id, 'hex')])

  return {
    seal(place, plain) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(labelOf(head, place))
      const ciphertext =
        typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain)
      return Buffer.concat([head, nonce, ciphertext, cipher.final(), cipher.getAuthTag()])
    },

    open(place, sealed) {
      refuseForeign(place, sealed, head)
      const nonce = sealed.subarray(headBytes, headBytes + nonceBytes)
      const ciphertext = sealed.subarray(headBytes + nonceBytes, -tagBytes)
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
        .setAAD(labelOf(head, place))
        .setAuthTag(sealed.subarray(-tagBytes))
      try {
        return Buffer.concat([decipher.update(ciphertext), decipher.final()])
      } catch (cause) {
        throw broken(place, 'it was changed, or sealed for another place', cause)
      }
    },
  }
}

function refuseForeign(place: Place, sealed: Buffer, head: Buffer): void {
  if (sealed.length < headBytes + nonceBytes + tagBytes) throw broken(place, 'it is too short')
  if (sealed[0] !== version) throw broken(place, `its version is ${sealed[0]}, not ${version}`)
  const keyId = sealed.subarray(1, headBytes)
  if (!keyId.equals(head.subarray(1))) {
    throw broken(place, `it was sealed with master key ${keyId.toString('hex')}`)
  }
}

/** JSON quotes its strings, so that no two places are written alike. */
function labelOf(head: Buffer, place: Place): Buffer {
  const { tenantId, table, rowId, column } = place
  return Buffer.concat([head, Buffer.from(JSON.stringify([tenantId, table, rowId, column]))])
}

function broken(place: Place, why: string, cause?: unknown): SealBroken {
  const where = `${place.table}.${place.column} of row ${place.rowId}`
  return new SealBroken(`The seal of ${where} does not open: ${why}.`, { cause })
}
