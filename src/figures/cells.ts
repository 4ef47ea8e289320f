import type { TenantId } from '#ids.ts'
import { spans, startOf } from './span.ts'

/** A thing that figures are kept of, such as an endpoint. */
export interface Subject {
  readonly tenantId: TenantId
  readonly subjectId: string
}

/** What is known of one thing within one span, as this process saw it. */
export interface Cell<Figures> extends Subject {
  readonly spanSeconds: number
  readonly startMs: number
  readonly figures: Figures
  isNew: boolean
}

export interface Cells<Figures> {
  /** Has `add` count something that happened to the subject, in both of its spans. */
  count(subject: Subject, at: Date, add: (figures: Figures) => void): void
  /** Cells with something new in them, marked as written. */
  take(): Cell<Figures>[]
  /** They were not written after all. */
  putBack(cells: readonly Cell<Figures>[]): void
  /** Lets go of spans that are over and written. */
  forget(nowMs: number): void
}

/** `onGivenUp` hears of what will be in no figure, because too many cells were waiting. */
export function createCells<Figures>(
  cellsMax: number,
  none: () => Figures,
  onGivenUp: () => void,
): Cells<Figures> {
  const cells = new Map<string, Cell<Figures>>()

  function cellOf(subject: Subject, at: Date, spanSeconds: number): Cell<Figures> | undefined {
    const startMs = startOf(at.getTime(), spanSeconds)
    const name = `${subject.subjectId} ${spanSeconds} ${startMs}`
    const known = cells.get(name)
    if (known !== undefined) return known
    if (cells.size >= cellsMax) return undefined
    const { tenantId, subjectId } = subject
    const cell = { tenantId, subjectId, spanSeconds, startMs, figures: none(), isNew: true }
    cells.set(name, cell)
    return cell
  }

  return {
    count(subject, at, add) {
      const both = [cellOf(subject, at, spans.short), cellOf(subject, at, spans.long)]
      if (both.includes(undefined)) onGivenUp()
      for (const cell of both) {
        if (cell === undefined) continue
        add(cell.figures)
        cell.isNew = true
      }
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
