import { merged, newSketch, quantileOf, type Sketch } from '#api-metrics/sketch.ts'
import type {
  WebhookDeliveryFigures,
  WebhookDeliveryMetrics,
  WebhookMetricsGrouping,
} from '#generated/types.ts'
import type { AttemptOutcome } from './dispatch.ts'
import { spans, startOf } from './metric.ts'

/** What attempts and deliveries add up to. */
export interface MetricSums {
  delivered: number
  exhausted: number
  outcomes: ReadonlyMap<AttemptOutcome, number>
  sketch: Sketch
}

/** Sums that have something in common; undefined is what they do not share. */
export interface MetricGroup {
  endpointId: string | undefined
  startsAt: Date | undefined
  sums: MetricSums
}

/** Whole spans of one kind. */
export interface MetricRange {
  fromMs: number
  toMs: number
  spanSeconds: number
}

const hourMs = 60 * 60 * 1_000

/** A reply covers so much at most, and nothing older than is kept. */
export const coveredMsMax = 31 * 24 * hourMs
/** Short spans are kept for an hour more. */
const shortReliedOnMs = 47 * hourMs

/** By short spans where that is a day at most and they are still there; otherwise by hours. */
export function rangeOf(
  fromMs: number,
  toMs: number,
  nowMs: number,
  groupBy: WebhookMetricsGrouping,
) {
  const isShort =
    groupBy !== 'HOUR' && toMs - fromMs <= 24 * hourMs && fromMs >= nowMs - shortReliedOnMs
  const spanSeconds = isShort ? spans.short : spans.long
  const last = startOf(toMs - 1, spanSeconds) + spanSeconds * 1_000
  return { fromMs: startOf(fromMs, spanSeconds), toMs: last, spanSeconds }
}

export function toMetrics(
  groups: readonly MetricGroup[],
  groupBy: WebhookMetricsGrouping,
  { fromMs, toMs }: MetricRange,
  nowMs: number,
): WebhookDeliveryMetrics {
  const end = Math.min(toMs, nowMs)
  const total = groups.reduce((sum, { sums }) => added(sum, sums), none)
  const shown = groupBy === 'NONE' ? [] : groups.toSorted(byTimeOrCount)
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(end).toISOString(),
    groupBy,
    total: toFigures(total, end - fromMs),
    groups: shown.map(({ endpointId, startsAt, sums }) => {
      const startMs = startsAt?.getTime()
      const overMs =
        startMs === undefined ? end - fromMs : Math.min(startMs + hourMs, end) - startMs
      return {
        endpointId: endpointId ?? null,
        startsAt: startsAt?.toISOString() ?? null,
        figures: toFigures(sums, overMs),
      }
    }) as WebhookDeliveryMetrics['groups'],
  }
}

const none: MetricSums = { delivered: 0, exhausted: 0, outcomes: new Map(), sketch: newSketch() }

function added(a: MetricSums, b: MetricSums): MetricSums {
  const outcomes = new Map(a.outcomes)
  for (const [name, count] of b.outcomes) outcomes.set(name, (outcomes.get(name) ?? 0) + count)
  return {
    delivered: a.delivered + b.delivered,
    exhausted: a.exhausted + b.exhausted,
    outcomes,
    sketch: merged(a.sketch, b.sketch),
  }
}

/** Hours in order, or the endpoints with the most attempts first. */
function byTimeOrCount(one: MetricGroup, other: MetricGroup): number {
  if (one.startsAt && other.startsAt) return one.startsAt.getTime() - other.startsAt.getTime()
  return attemptsOf(other.sums) - attemptsOf(one.sums)
}

function attemptsOf({ outcomes }: MetricSums): number {
  let count = 0
  for (const own of outcomes.values()) count += own
  return count
}

/** The figures of what happened within `overMs`. */
export function toFigures(sums: MetricSums, overMs: number): WebhookDeliveryFigures {
  const { delivered, exhausted, outcomes, sketch } = sums
  const attempts = attemptsOf(sums)
  const shareOf = (part: number, whole: number) => (whole === 0 ? null : part / whole)
  const perMinute = (count: number) => (overMs > 0 ? (count * 60_000) / overMs : 0)
  return {
    attempts,
    attemptSuccessRate: shareOf(outcomes.get('DELIVERED') ?? 0, attempts),
    delivered,
    exhausted,
    deliverySuccessRate: shareOf(delivered, delivered + exhausted),
    attemptsPerMinute: perMinute(attempts),
    deliveriesPerMinute: perMinute(delivered),
    p50Ms: quantileOf(sketch, 0.5),
    p95Ms: quantileOf(sketch, 0.95),
    p99Ms: quantileOf(sketch, 0.99),
    outcomes: [...outcomes]
      .map(([outcome, count]) => ({ outcome, count }))
      .sort((one, other) => other.count - one.count),
  }
}
