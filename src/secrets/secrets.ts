import { createHmac } from 'node:crypto'
import { openCursor, sealCursor } from './cursor.ts'
import type { Keyring } from './keyring.ts'
import { createSeal, type Seal } from './seal.ts'
import { type NewKeyPair, newKeyPair, newSigningSecret } from './signature.ts'
import { type ApiKeyKind, type NewApiKey, newApiKey, readApiKey } from './token.ts'

/** All that needs the master key or luck, as one capability of the context. */
export interface Secrets extends Seal {
  /** Names the master key. */
  readonly keyId: string
  newApiKey(kind: ApiKeyKind): NewApiKey
  readApiKey(text: string): { kind: ApiKeyKind; hash: Buffer } | undefined
  newSigningSecret(): string
  newKeyPair(): NewKeyPair
  sealCursor(bindings: string, value: unknown): string
  openCursor(bindings: string, text: string): unknown | undefined
  /** HMAC-SHA256 by which an anchor of the audit shows that this installation made it. */
  attest(digest: Buffer): Buffer
}

export function createSecrets(keyring: Keyring, randomBytes: (size: number) => Buffer): Secrets {
  return {
    ...createSeal(keyring, randomBytes),
    keyId: keyring.id,
    newApiKey: (kind) => newApiKey(keyring, kind, randomBytes),
    readApiKey: (text) => readApiKey(keyring, text),
    newSigningSecret: () => newSigningSecret(randomBytes),
    newKeyPair: () => newKeyPair(randomBytes),
    sealCursor: (bindings, value) => sealCursor(keyring, bindings, value),
    openCursor: (bindings, text) => openCursor(keyring, bindings, text),
    attest: (digest) => createHmac('sha256', keyring.keys.audit).update(digest).digest(),
  }
}
