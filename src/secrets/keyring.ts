import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

/**
 * One *master key* opens everything, and is used for nothing itself: each purpose has a
 * sub-key of its own (HKDF-SHA256, RFC 5869), so that what one purpose gives away can never
 * help against another. The *key id* names the master key without telling anything of it;
 * it is written into every seal, so that a wrong master key is recognised as such.
 */
export type KeyPurpose = 'seal' | 'api-key' | 'cursor' | 'audit'

/** The sub-keys are `KeyObject`s: printed or serialised by mistake, they show no bytes. */
export interface Keyring {
  readonly id: string
  readonly keys: Readonly<Record<KeyPurpose, KeyObject>>
}

const masterKeyBytes = 32

/** The configured key is not one; the message is one line for the operator. */
export class MasterKeyRefusal extends Error {
  override readonly name = 'MasterKeyRefusal'
}

/** Takes 32 bytes in base64. The error says what is wrong, never what the key was. */
export function keyringFrom(masterKeyBase64: string): Keyring {
  const master = Buffer.from(masterKeyBase64.trim(), 'base64')
  if (!isBase64(masterKeyBase64.trim()) || master.length !== masterKeyBytes) {
    throw new MasterKeyRefusal(
      `UBOS_MASTER_KEY must be ${masterKeyBytes} bytes in base64 (44 characters, for instance ` +
        `from \`openssl rand -base64 32\`); this one is ${masterKeyBase64.length} characters ` +
        `and decodes to ${master.length} bytes.`,
    )
  }
  return {
    id: derive(master, 'id').toString('hex').slice(0, 8),
    keys: {
      seal: createSecretKey(derive(master, 'seal')),
      'api-key': createSecretKey(derive(master, 'api-key')),
      cursor: createSecretKey(derive(master, 'cursor')),
      audit: createSecretKey(derive(master, 'audit')),
    },
  }
}

function derive(master: Buffer, purpose: KeyPurpose | 'id'): Buffer {
  return Buffer.from(hkdfSync('sha256', master, 'ubos', purpose, 32))
}

/** `Buffer.from` skips what it does not know: a key with a typing error would be another key. */
function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text)
}
