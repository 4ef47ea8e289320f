import { type FigureRange, overMsOf } from '#figures/span.ts'
import type {
  InboundFigures,
  InboundMetrics,
  InboundMetricsGrouping,
  InboundOutcome,
} from '#generated/types.ts'

/** What became of webhooks of one source: by outcome how many, and when the last one. */
export type WebhookFigures = Map<InboundOutcome, OutcomeCount>

export interface OutcomeCount {
  count: number
  lastAt: Date
}

export function countWebhook(figures: WebhookFigures, outcome: InboundOutcome, at: Date): void {
  const { count = 0, lastAt = at } = figures.get(outcome) ?? {}
  figures.set(outcome, { count: count + 1, lastAt: at > lastAt ? at : lastAt })
}

/** Of how many webhooks of a group something became; its group is a source, an hour, or empty. */
export interface OutcomeSum extends OutcomeCount {
  group: string
  outcome: InboundOutcome
}

export function toMetrics(
  sums: readonly OutcomeSum[],
  groupBy: InboundMetricsGrouping,
  range: FigureRange,
  nowMs: number,
): InboundMetrics {
  const groups = groupBy === 'NONE' ? [] : [...Map.groupBy(sums, ({ group }) => group)]
  const shown = groups.map(([group, own]) => {
    const hour = groupBy === 'HOUR' ? new Date(group) : undefined
    return {
      sourceId: groupBy === 'SOURCE' ? group : null,
      startsAt: hour?.toISOString() ?? null,
      figures: toFigures(own, overMsOf(range, nowMs, hour)),
    }
  })
  return {
    from: new Date(range.fromMs).toISOString(),
    to: new Date(Math.min(range.toMs, nowMs)).toISOString(),
    groupBy,
    total: toFigures(sums, overMsOf(range, nowMs)),
    groups: shown.sort(byTimeOrCount) as InboundMetrics['groups'],
  }
}

type Group = Pick<InboundMetrics['groups'][number], 'startsAt' | 'figures'>

/** Hours in order, or the sources with the most webhooks first. */
function byTimeOrCount(one: Group, other: Group): number {
  if (one.startsAt && other.startsAt) return one.startsAt < other.startsAt ? -1 : 1
  return other.figures.received - one.figures.received
}

const kept: ReadonlySet<InboundOutcome> = new Set(['ACCEPTED', 'QUARANTINED'])
const answered: ReadonlySet<InboundOutcome> = new Set([...kept, 'DUPLICATE', 'HANDSHAKE'])

/** The figures of what came within `overMs`. */
function toFigures(sums: readonly OutcomeSum[], overMs: number): InboundFigures {
  const countOf = (some: readonly OutcomeSum[]) => some.reduce((sum, { count }) => sum + count, 0)
  const received = countOf(sums)
  const refused = countOf(sums.filter(({ outcome }) => !answered.has(outcome)))
  const outcomes = [...Map.groupBy(sums, ({ outcome }) => outcome)].map(([outcome, own]) => ({
    outcome,
    count: countOf(own),
    lastAt: new Date(Math.max(...own.map(({ lastAt }) => lastAt.getTime()))).toISOString(),
  }))
  return {
    received,
    accepted: countOf(sums.filter(({ outcome }) => kept.has(outcome))),
    refused,
    refusalRate: received === 0 ? null : refused / received,
    receivedPerMinute: overMs > 0 ? (received * 60_000) / overMs : 0,
    outcomes: outcomes.sort((one, other) => other.count - one.count),
  }
}
