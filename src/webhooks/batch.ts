import type { Untransformed } from './dispatch.ts'

/** The most that a batch may be, in bytes as it is sent, unless it is one event. */
const batchBytesMax = 256 * 1024

/** A delivery that may go with others. */
export interface Member {
  deliveryId: string
  batchId: string | null
  /** Of its event. */
  position: number | null
}

/** A member of a batch, and what is to be sent of it. */
export interface Made<One extends Member> {
  claimed: One
  body: Buffer | Untransformed
}

export interface Packed<One extends Member> {
  /** What goes, in this order, and as these bytes. */
  sent: One[]
  body: Buffer
  /** There was no more room for these. */
  left: One[]
  /** Nothing could be made of these. */
  failed: { claimed: One; outcome: Untransformed }[]
}

/** Packs what was made in the order of the log, as much as there is room for. */
export function pack<One extends Member>(made: readonly Made<One>[]): Packed<One> {
  const inOrder = made.toSorted((one, other) => placeOf(one) - placeOf(other))
  const packed: Packed<One> = { sent: [], body: Buffer.alloc(0), left: [], failed: [] }
  const bodies: Buffer[] = []
  /** The brackets, and with each event its comma. */
  let bytes = 1
  for (const { claimed, body } of inOrder) {
    if (!Buffer.isBuffer(body)) {
      packed.failed.push({ claimed, outcome: body })
      continue
    }
    const fits = bodies.length === 0 || bytes + body.length + 1 <= batchBytesMax
    // Behind one that has to wait none goes: the order stays.
    if (!fits || packed.left.length > 0) packed.left.push(claimed)
    else {
      bytes += body.length + 1
      bodies.push(body)
      packed.sent.push(claimed)
    }
  }
  return { ...packed, body: joined(bodies) }
}

function placeOf({ claimed }: Made<Member>): number {
  return claimed.position ?? Number.MAX_SAFE_INTEGER
}

/** A JSON array of what is JSON already. */
function joined(bodies: readonly Buffer[]): Buffer {
  const parts = bodies.flatMap((body, at) => (at === 0 ? [body] : [comma, body]))
  return Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']')])
}

const comma = Buffer.from(',')

/** What is sent together; whoever is in no batch goes alone. */
export function togetherOf<One extends Member>(claims: readonly One[]): One[][] {
  const batches = new Map<string, One[]>()
  for (const claimed of claims) {
    const name = claimed.batchId ?? claimed.deliveryId
    const batch = batches.get(name)
    if (batch === undefined) batches.set(name, [claimed])
    else batch.push(claimed)
  }
  return [...batches.values()]
}
