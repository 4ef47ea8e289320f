/** Of an anchor that was kept elsewhere: which one, and its digest. */
export interface KeptAnchor {
  number: number
  digest: Buffer
}

/**
 * Reads anchors as they were kept: lines of the program's log, of which those without an anchor are
 * passed over, replies of `GET /api/v1/audit-anchors`, or anchors as JSON, one in a line.
 */
export function readKeptAnchors(text: string, file: string): KeptAnchor[] {
  const whole = parsed(text)
  const values = whole === undefined ? text.split('\n').map(parsed) : [whole]
  const anchors = values.flatMap(anchorsOf)
  if (anchors.length === 0) throw new Error(`${file} holds no anchor`)
  return anchors
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function anchorsOf(value: unknown): KeptAnchor[] {
  if (Array.isArray(value)) return value.flatMap(anchorsOf)
  const { number, digest, anchor, data } = Object(value) as Record<string, unknown>
  if (anchor !== undefined) return anchorsOf(anchor)
  if (Array.isArray(data)) return anchorsOf(data)
  const isAnchor = Number.isInteger(number) && /^[0-9a-f]{64}$/.test(String(digest))
  return isAnchor ? [{ number: Number(number), digest: Buffer.from(String(digest), 'hex') }] : []
}
