/** From one moment, in ms, up to another, which is not in it. */
export interface Span {
  fromMs: number
  toMs: number
}

/** Which rows together hold all calls of a span, each once. */
export interface Cover {
  /** What is really covered: the span asked for, widened to whole minutes or hours. */
  span: Span
  minutes: Span[]
  hours: Span[]
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Minutes are kept for 48 hours; so much of that is relied upon. */
export const minutesReliedOnMs = 47 * hourMs

const floorTo = (ms: number, unitMs: number): number => Math.floor(ms / unitMs) * unitMs
const ceilTo = (ms: number, unitMs: number): number => Math.ceil(ms / unitMs) * unitMs

/**
 * Covers a span by hours where they are made and whole, and by minutes at its ends. Hours are made
 * up to `rolledUntilMs`; minutes from there on are never deleted. `mayUseHours` is false for those
 * who want to see minutes.
 */
export function coverOf(
  asked: Span,
  nowMs: number,
  rolledUntilMs: number | null,
  mayUseHours = true,
): Cover {
  const reliableMs = ceilTo(nowMs - minutesReliedOnMs, hourMs)
  const unitAt = (ms: number) => (ms < reliableMs ? hourMs : minuteMs)
  const span = {
    fromMs: floorTo(asked.fromMs, unitAt(asked.fromMs)),
    toMs: ceilTo(asked.toMs, unitAt(asked.toMs)),
  }
  const hours = {
    fromMs: ceilTo(span.fromMs, hourMs),
    toMs: Math.min(floorTo(span.toMs, hourMs), rolledUntilMs ?? 0),
  }
  if (!mayUseHours || hours.fromMs >= hours.toMs) return { span, minutes: [span], hours: [] }
  const ends = [
    { fromMs: span.fromMs, toMs: hours.fromMs },
    { fromMs: hours.toMs, toMs: span.toMs },
  ]
  return { span, minutes: ends.filter(({ fromMs, toMs }) => fromMs < toMs), hours: [hours] }
}
