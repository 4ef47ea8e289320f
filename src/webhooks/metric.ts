import { addTo, newSketch, type Sketch } from '#figures/sketch.ts'
import type { AttemptOutcome } from './dispatch.ts'

/** What came of attempts at one endpoint. */
export interface AttemptFigures {
  readonly outcomes: Map<AttemptOutcome, number>
  /** Deliveries that ended, one way or the other. */
  delivered: number
  exhausted: number
  /** How long attempts took at which something was sent. */
  readonly sketch: Sketch
}

/** What is counted of an attempt. */
export interface Counted {
  outcome: AttemptOutcome
  durationMs: number
  /** What became of its delivery; null when it goes on. */
  ended: 'DELIVERED' | 'EXHAUSTED' | null
}

export function noAttempts(): AttemptFigures {
  return { outcomes: new Map(), delivered: 0, exhausted: 0, sketch: newSketch() }
}

/** What never left us took the endpoint no time. */
const unsent: ReadonlySet<AttemptOutcome> = new Set(['TRANSFORMATION_FAILED', 'INTERRUPTED'])

export function countAttempt(
  figures: AttemptFigures,
  { outcome, durationMs, ended }: Counted,
): void {
  figures.outcomes.set(outcome, (figures.outcomes.get(outcome) ?? 0) + 1)
  if (ended === 'DELIVERED') figures.delivered += 1
  if (ended === 'EXHAUSTED') figures.exhausted += 1
  if (!unsent.has(outcome)) addTo(figures.sketch, durationMs)
}
