import type { UsageReport, UsageReportGroup, UsageReportGrouping } from '#generated/types.ts'
import type { UsageReportPayload } from '#jobs/usage-report.ts'
import { addedUp, type CallGroup, lengthOf, toFigures } from './api-metrics.ts'
import type { Span } from './cover.ts'

/** What a tenant did in one piece of the period: no longer than a day, so that it is read quickly. */
export interface Slice {
  /** What was asked about. */
  asked: Span
  /** What its calls are really about. */
  covered: Span
  groups: readonly CallGroup[]
  events: number
  deliveries: DeliverySums
}

export interface DeliverySums {
  made: number
  delivered: number
  exhausted: number
}

/** A report shows at most so many groups: its bytes are bounded. */
export const reportGroupsMax = 100

const dayMs = 24 * 60 * 60 * 1_000

/** The period up to now, cut at midnight in UTC; nothing of it when all of it is to come. */
export function slicesOf({ from, to }: UsageReportPayload, nowMs: number): Span[] {
  const endMs = Math.min(Date.parse(to), nowMs)
  const slices: Span[] = []
  for (let fromMs = Date.parse(from); fromMs < endMs; ) {
    const midnightMs = (Math.floor(fromMs / dayMs) + 1) * dayMs
    const toMs = Math.min(midnightMs, endMs)
    slices.push({ fromMs, toMs })
    fromMs = toMs
  }
  return slices
}

/** The report so far; slices are added to it in the order of time. */
export interface Sum {
  covered: Span | undefined
  groups: Map<string, CallGroup>
  events: number
  deliveries: DeliverySums
}

export function newSum(): Sum {
  const deliveries = { made: 0, delivered: 0, exhausted: 0 }
  return { covered: undefined, groups: new Map(), events: 0, deliveries }
}

/** Adds a slice; what is grouped by operation or key is added up over all slices. */
export function addSlice(sum: Sum, groupBy: UsageReportGrouping, slice: Slice): Sum {
  const groups = new Map(sum.groups)
  for (const group of slice.groups) {
    const name = nameOf(group, groupBy, slice)
    const known = groups.get(name)
    const startsAt = groupBy === 'DAY' ? new Date(slice.asked.fromMs) : undefined
    groups.set(name, { ...group, startsAt, sums: known ? addedUp([known, group]) : group.sums })
  }
  const { made, delivered, exhausted } = slice.deliveries
  return {
    covered: {
      fromMs: sum.covered?.fromMs ?? slice.covered.fromMs,
      toMs: slice.covered.toMs,
    },
    groups,
    events: sum.events + slice.events,
    deliveries: {
      made: sum.deliveries.made + made,
      delivered: sum.deliveries.delivered + delivered,
      exhausted: sum.deliveries.exhausted + exhausted,
    },
  }
}

function nameOf(group: CallGroup, groupBy: UsageReportGrouping, { asked }: Slice): string {
  switch (groupBy) {
    case 'NONE':
      return ''
    case 'OPERATION':
      return group.operationId ?? ''
    case 'KEY':
      return group.apiKeyId ?? ''
    case 'DAY':
      return dayOf(asked.fromMs)
    default:
      return groupBy satisfies never
  }
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

export function toUsageReport({ from, groupBy }: UsageReportPayload, sum: Sum): UsageReport {
  const fromMs = Date.parse(from)
  const covered = sum.covered ?? { fromMs, toMs: fromMs }
  const all = [...sum.groups.values()]
  const shown = groupBy === 'NONE' ? [] : inOrder(all, groupBy).slice(0, reportGroupsMax)
  return {
    from: new Date(covered.fromMs).toISOString(),
    to: new Date(covered.toMs).toISOString(),
    groupBy,
    calls: toFigures(addedUp(all), lengthOf(covered)),
    groups: shown.map((group) => toReportGroup(group, groupBy, covered)),
    groupsLeftOut: groupBy === 'NONE' ? 0 : all.length - shown.length,
    eventsPublished: sum.events,
    deliveriesMade: sum.deliveries.made,
    deliveriesDelivered: sum.deliveries.delivered,
    deliveriesExhausted: sum.deliveries.exhausted,
  }
}

/** Days as they came; of the others the busiest first. */
function inOrder(groups: CallGroup[], groupBy: UsageReportGrouping): CallGroup[] {
  return groupBy === 'DAY' ? groups : groups.toSorted((a, b) => b.sums.calls - a.sums.calls)
}

function toReportGroup(
  { operationId, apiKeyId, startsAt, sums }: CallGroup,
  groupBy: UsageReportGrouping,
  covered: Span,
): UsageReportGroup {
  const day = groupBy === 'DAY' && startsAt ? dayOf(startsAt.getTime()) : null
  return {
    operationId: operationId || null,
    apiKeyId: apiKeyId || null,
    day,
    figures: toFigures(sums, day === null ? lengthOf(covered) : lengthOfDay(day, covered)),
  }
}

/** How much of a day is covered. */
function lengthOfDay(day: string, { fromMs, toMs }: Span): number {
  const startMs = Date.parse(day)
  return Math.min(startMs + dayMs, toMs) - Math.max(startMs, fromMs)
}
