/**
 * A *sketch* is a histogram of times whose buckets grow by a constant factor g: bucket i holds what
 * is in (g^(i-1), g^i] ms. The value that a bucket is reported as is at most `relativeError` off
 * everything in it, so any quantile is too. Two sketches are added up by adding their counts, in any
 * order, and nothing is lost (Masson, Rim and Lee, DDSketch, PVLDB 12/12, 2019).
 */
export type Sketch = Map<number, number>

/** How far a quantile may be off, relative to the exact value. */
export const relativeError = 0.01

/** Between these, in ms, the error holds; what is below or above is taken for the bound. */
export const resolvedMs = { least: 0.01, most: 24 * 60 * 60 * 1_000 }

const growth = (1 + relativeError) / (1 - relativeError)
const bucketsPerE = 1 / Math.log(growth)

export function newSketch(): Sketch {
  return new Map()
}

export function addTo(sketch: Sketch, ms: number): void {
  const bucket = bucketOf(ms)
  sketch.set(bucket, (sketch.get(bucket) ?? 0) + 1)
}

function bucketOf(ms: number): number {
  const resolved = Math.min(Math.max(ms, resolvedMs.least), resolvedMs.most)
  return Math.ceil(Math.log(resolved) * bucketsPerE)
}

/** A new sketch of all that is in either. */
export function merged(a: Sketch, b: Sketch): Sketch {
  const sum = new Map(a)
  for (const [bucket, count] of b) sum.set(bucket, (sum.get(bucket) ?? 0) + count)
  return sum
}

/**
 * The value at rank ceil(share × count), counted from the smallest (nearest rank), in ms and within
 * `relativeError`; null for an empty sketch.
 */
export function quantileOf(sketch: Sketch, share: number): number | null {
  let count = 0
  for (const own of sketch.values()) count += own
  if (count === 0) return null
  const rank = Math.max(1, Math.ceil(share * count))
  let seen = 0
  for (const [bucket, own] of [...sketch].sort(([a], [b]) => a - b)) {
    seen += own
    if (seen >= rank) return middleOf(bucket)
  }
  return null
}

/** The value that is as far off the lower end of a bucket as off its upper end, relatively. */
function middleOf(bucket: number): number {
  return (2 * growth ** bucket) / (growth + 1)
}
