import { merged, newSketch, quantileOf, type Sketch } from '#figures/sketch.ts'
import { type FigureRange, overMsOf } from '#figures/span.ts'
import type {
  WebhookDeliveryFigures,
  WebhookDeliveryMetrics,
  WebhookMetricsGrouping,
} from '#generated/types.ts'
import type { AttemptOutcome } from './dispatch.ts'

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

export function toMetrics(
  groups: readonly MetricGroup[],
  groupBy: WebhookMetricsGrouping,
  range: FigureRange,
  nowMs: number,
): WebhookDeliveryMetrics {
  const total = groups.reduce((sum, { sums }) => added(sum, sums), none)
  const shown = groupBy === 'NONE' ? [] : groups.toSorted(byTimeOrCount)
  return {
    from: new Date(range.fromMs).toISOString(),
    to: new Date(Math.min(range.toMs, nowMs)).toISOString(),
    groupBy,
    total: toFigures(total, overMsOf(range, nowMs)),
    groups: shown.map(({ endpointId, startsAt, sums }) => ({
      endpointId: endpointId ?? null,
      startsAt: startsAt?.toISOString() ?? null,
      figures: toFigures(sums, overMsOf(range, nowMs, startsAt)),
    })) as WebhookDeliveryMetrics['groups'],
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
