import { createHash } from 'node:crypto'
import { keyringFrom } from '#secrets/keyring.ts'

export const keyring = keyringFrom(Buffer.alloc(32, 7).toString('base64'))
export const otherKeyring = keyringFrom(Buffer.alloc(32, 8).toString('base64'))

/** Luck that repeats itself: the same seed gives the same bytes. */
export function seededBytes(seed: string): (size: number) => Buffer {
  let count = 0
  return (size) => {
    const block = createHash('shake256', { outputLength: size })
    return block.update(`${seed}:${count++}`).digest()
  }
}
