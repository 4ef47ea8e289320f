import { merged, newSketch, quantileOf, type Sketch } from '#figures/sketch.ts'
import type { ApiFigures, ApiMetricsGroup, ApiMetricsGrouping } from '#generated/types.ts'
import type { Span } from './cover.ts'

/** What calls add up to. Two sums are added up number by number. */
export interface CallSums {
  calls: number
  clientErrors: number
  serverErrors: number
  limitHits: number
  requestBytes: number
  responseBytes: number
  sketch: Sketch
}

/** The sums of the calls that have something in common; undefined is what they do not share. */
export interface CallGroup {
  operationId: string | undefined
  apiKeyId: string | undefined
  startsAt: Date | undefined
  sums: CallSums
}

/** A reply shows at most so many operations or keys. */
export const groupsMax = 1_000

export function addedUp(groups: readonly CallGroup[]): CallSums {
  const none: CallSums = {
    calls: 0,
    clientErrors: 0,
    serverErrors: 0,
    limitHits: 0,
    requestBytes: 0,
    responseBytes: 0,
    sketch: newSketch(),
  }
  return groups.reduce(
    (sum, { sums }) => ({
      calls: sum.calls + sums.calls,
      clientErrors: sum.clientErrors + sums.clientErrors,
      serverErrors: sum.serverErrors + sums.serverErrors,
      limitHits: sum.limitHits + sums.limitHits,
      requestBytes: sum.requestBytes + sums.requestBytes,
      responseBytes: sum.responseBytes + sums.responseBytes,
      sketch: merged(sum.sketch, sums.sketch),
    }),
    none,
  )
}

/** The figures of calls that were answered within `overMs`. */
export function toFigures(sums: CallSums, overMs: number): ApiFigures {
  const { calls, sketch } = sums
  const shareOf = (count: number) => (calls === 0 ? null : count / calls)
  return {
    calls,
    clientErrors: sums.clientErrors,
    serverErrors: sums.serverErrors,
    limitHits: sums.limitHits,
    errorRate: shareOf(sums.serverErrors),
    limitHitRate: shareOf(sums.limitHits),
    callsPerSecond: overMs > 0 ? (calls * 1_000) / overMs : 0,
    requestBytes: sums.requestBytes,
    responseBytes: sums.responseBytes,
    p50Ms: quantileOf(sketch, 0.5),
    p95Ms: quantileOf(sketch, 0.95),
    p99Ms: quantileOf(sketch, 0.99),
  }
}

/** The groups as the contract shows them: by time, or the busiest first. */
export function toGroups(
  groups: readonly CallGroup[],
  groupBy: ApiMetricsGrouping,
  covered: Span,
): ApiMetricsGroup[] {
  if (groupBy === 'NONE') return []
  const isByTime = groupBy === 'MINUTE' || groupBy === 'HOUR'
  const unitMs = groupBy === 'MINUTE' ? 60_000 : 3_600_000
  const shown = isByTime
    ? groups.toSorted((a, b) => msOf(a.startsAt) - msOf(b.startsAt))
    : groups.toSorted((a, b) => b.sums.calls - a.sums.calls).slice(0, groupsMax)
  return shown.map(({ operationId, apiKeyId, startsAt, sums }) => ({
    operationId: operationId || null,
    apiKeyId: apiKeyId || null,
    startsAt: startsAt?.toISOString() ?? null,
    figures: toFigures(
      sums,
      isByTime ? overlapMs(msOf(startsAt), unitMs, covered) : lengthOf(covered),
    ),
  }))
}

const msOf = (moment: Date | undefined): number => moment?.getTime() ?? 0

export const lengthOf = ({ fromMs, toMs }: Span): number => toMs - fromMs

/** How much of the minute or hour is covered. */
function overlapMs(startMs: number, unitMs: number, { fromMs, toMs }: Span): number {
  return Math.min(startMs + unitMs, toMs) - Math.max(startMs, fromMs)
}
