import { addTo, newSketch, type Sketch } from '#api-metrics/sketch.ts'
import type { TenantId } from '#ids.ts'
import type { AttemptOutcome } from './dispatch.ts'

/**
 * *Metrics* of deliveries are added up in the memory of each worker, endpoint by endpoint, at once in
 * spans of five minutes and of an hour, and overwrite rows of its own with the totals so far: writing
 * twice counts nothing twice, and nothing has to be rolled up.
 */
export const spans = { short: 300, long: 3_600 } as const

/** What came of attempts at one endpoint within one span, as one worker saw it. */
export interface MetricCell {
  readonly tenantId: TenantId
  readonly endpointId: string
  readonly spanSeconds: number
  readonly startMs: number
  readonly outcomes: Map<AttemptOutcome, number>
  /** Deliveries that ended, one way or the other. */
  delivered: number
  exhausted: number
  /** How long attempts took at which something was sent. */
  readonly sketch: Sketch
  isNew: boolean
}

/** What is counted of an attempt. */
export interface Counted {
  tenantId: TenantId
  endpointId: string
  outcome: AttemptOutcome
  durationMs: number
  endedAt: Date
  /** What became of its delivery; null when it goes on. */
  ended: 'DELIVERED' | 'EXHAUSTED' | null
}

export interface MetricTally {
  add(counted: Counted): void
  /** Cells with something new in them, marked as written. */
  take(): MetricCell[]
  /** They were not written after all. */
  putBack(cells: readonly MetricCell[]): void
  /** Lets go of spans that are over and written. */
  forget(nowMs: number): void
}

/** `onGivenUp` hears of attempts that will be in no figure, because too many cells were waiting. */
export function createMetricTally(cellsMax: number, onGivenUp: () => void): MetricTally {
  const cells = new Map<string, MetricCell>()

  function cellOf(counted: Counted, spanSeconds: number): MetricCell | undefined {
    const startMs = startOf(counted.endedAt.getTime(), spanSeconds)
    const name = `${counted.endpointId} ${spanSeconds} ${startMs}`
    const known = cells.get(name)
    if (known !== undefined) return known
    if (cells.size >= cellsMax) return undefined
    const cell = newCell(counted, spanSeconds, startMs)
    cells.set(name, cell)
    return cell
  }

  return {
    add(counted) {
      const both = [cellOf(counted, spans.short), cellOf(counted, spans.long)]
      if (both.includes(undefined)) onGivenUp()
      for (const cell of both) if (cell !== undefined) count(cell, counted)
    },
    take() {
      const taken = [...cells.values()].filter(({ isNew }) => isNew)
      for (const cell of taken) cell.isNew = false
      return taken
    },
    putBack(taken) {
      for (const cell of taken) cell.isNew = true
    },
    forget(nowMs) {
      for (const [name, { isNew, startMs, spanSeconds }] of cells) {
        // A span more, so that a clock set back a little overwrites no row with less.
        if (!isNew && startMs + 2 * spanSeconds * 1_000 < nowMs) cells.delete(name)
      }
    },
  }
}

export function startOf(ms: number, spanSeconds: number): number {
  return Math.floor(ms / (spanSeconds * 1_000)) * spanSeconds * 1_000
}

function newCell(
  { tenantId, endpointId }: Counted,
  spanSeconds: number,
  startMs: number,
): MetricCell {
  return {
    ...{ tenantId, endpointId, spanSeconds, startMs, outcomes: new Map() },
    ...{ delivered: 0, exhausted: 0, sketch: newSketch(), isNew: true },
  }
}

/** What never left us took the endpoint no time. */
const unsent: ReadonlySet<AttemptOutcome> = new Set(['TRANSFORMATION_FAILED', 'INTERRUPTED'])

function count(cell: MetricCell, { outcome, durationMs, ended }: Counted): void {
  cell.outcomes.set(outcome, (cell.outcomes.get(outcome) ?? 0) + 1)
  if (ended === 'DELIVERED') cell.delivered += 1
  if (ended === 'EXHAUSTED') cell.exhausted += 1
  if (!unsent.has(outcome)) addTo(cell.sketch, durationMs)
  cell.isNew = true
}
