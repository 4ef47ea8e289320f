import { randomFillSync } from 'node:crypto'
import { encodeBase32, type Id, type IdPrefix } from './ids.ts'

/** Where now, randomness and new ids come from; tests put their own in its place. */
export interface Clock {
  now(): Date
  /** `count` random bytes, fit for secrets. */
  randomBytes(count: number): Buffer
  /** From 0 up to 1, for jitter; not fit for secrets. */
  random(): number
  /** A new id: later ones sort behind earlier ones of this process, also within a millisecond. */
  newId<Prefix extends IdPrefix>(prefix: Prefix): Id<Prefix>
}

/** Ids for which randomness is fetched at once: for each by itself it costs more than the id. */
const idsAtOnce = 256

/** The system's clock; `now` can be replaced, so that tests can step the time. */
export function createClock(now: () => Date = () => new Date()): Clock {
  const randomness = Buffer.alloc(16 * idsAtOnce)
  let used = randomness.length
  let lastMs = 0
  let sequence = 0

  /** UUIDv7 (RFC 9562 §5.7), its 12 bits of rand_a a counter that starts anew each millisecond. */
  function uuid7(): Uint8Array {
    if (used === randomness.length) {
      randomFillSync(randomness)
      used = 0
    }
    const bytes = randomness.subarray(used, used + 16)
    used += 16
    const ms = now().getTime()
    sequence = ms === lastMs ? sequence + 1 : bytes.readUInt16BE(6) & 0x07ff
    lastMs = ms
    bytes.writeUIntBE(ms, 0, 6)
    bytes.writeUInt16BE(0x7000 | (sequence & 0x0fff), 6)
    bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8)
    return bytes
  }

  return {
    now,
    randomBytes: (count) => randomFillSync(Buffer.alloc(count)),
    random: Math.random,
    newId: (prefix) => `${prefix}_${encodeBase32(uuid7())}`,
  }
}
