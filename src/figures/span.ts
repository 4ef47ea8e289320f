import { problem } from '#http/problem.ts'

/**
 * *Figures* of things of a tenant are added up in the memory of each process, at once in spans of five
 * minutes and of an hour, and overwrite rows of its own with the totals so far: writing twice counts
 * nothing twice, and nothing has to be rolled up. In seconds.
 */
export const spans = { short: 300, long: 3_600 } as const

export const hourMs = 60 * 60 * 1_000
const dayMs = 24 * hourMs

/** For how long rows of either span are kept, in ms. */
export const spansKeptForMs = { short: 2 * dayMs, long: 90 * dayMs }

/** Short spans are asked for until an hour before they go. */
const shortReliedOnMs = spansKeptForMs.short - hourMs

/** An answer covers so much at most. */
const coveredMsMax = 31 * dayMs

/** Whole spans of one kind. */
export interface FigureRange {
  fromMs: number
  toMs: number
  spanSeconds: number
}

export function startOf(ms: number, spanSeconds: number): number {
  return Math.floor(ms / (spanSeconds * 1_000)) * spanSeconds * 1_000
}

/** By short spans where that is a day at most and they are still there; otherwise by hours. */
export function rangeOf(
  fromMs: number,
  toMs: number,
  nowMs: number,
  isByHour: boolean,
): FigureRange {
  const isShort = !isByHour && toMs - fromMs <= dayMs && fromMs >= nowMs - shortReliedOnMs
  const spanSeconds = isShort ? spans.short : spans.long
  const last = startOf(toMs - 1, spanSeconds) + spanSeconds * 1_000
  return { fromMs: startOf(fromMs, spanSeconds), toMs: last, spanSeconds }
}

/** The range that a query names, the last hour unless it says otherwise; throws `invalid_request`. */
export function rangeAsked(
  { from, to }: { from?: string | undefined; to?: string | undefined },
  now: Date,
  isByHour: boolean,
): FigureRange {
  const nowMs = now.getTime()
  const toMs = Math.min(to === undefined ? nowMs : Date.parse(to), nowMs)
  const fromMs = from === undefined ? toMs - hourMs : Date.parse(from)
  if (fromMs >= toMs) throw outOfRange('must be before `to` and in the past')
  if (toMs - fromMs > coveredMsMax) throw outOfRange('must be at most 31 days before `to`')
  return rangeOf(fromMs, toMs, nowMs, isByHour)
}

function outOfRange(message: string) {
  return problem('invalid_request', {
    detail: `from ${message}.`,
    errors: [{ parameter: 'from', code: 'out_of_range', message }],
  })
}

/** How much of a range is over, in ms, or of one hour of it. */
export function overMsOf({ fromMs, toMs }: FigureRange, nowMs: number, hour?: Date): number {
  const end = Math.min(toMs, nowMs)
  if (hour === undefined) return end - fromMs
  return Math.min(hour.getTime() + hourMs, end) - hour.getTime()
}
