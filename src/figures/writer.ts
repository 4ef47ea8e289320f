import type pg from 'pg'
import type { Context } from '#context.ts'
import { drainWithin } from '#jobs/drain.ts'
import { runLoop } from '#jobs/loop.ts'
import { type Cell, type Cells, createCells } from './cells.ts'

/** Figures are so old at most; each time, what changed is written over. */
const writeEveryMs = 2_000

/** Of all things that something happened to in the last hours. */
const cellsMax = 50_000
const cellsPerStatement = 1_000

export interface FigureKind<Figures> {
  name: string
  none: () => Figures
  /** Writes the totals of cells in place of what they were. */
  put: (worker: pg.Pool, processId: string, cells: readonly Cell<Figures>[]) => Promise<void>
  /** Something will be in no figure: there were too many things at once. */
  onGivenUp: () => void
}

export interface FigureWriter<Figures> {
  count: Cells<Figures>['count']
  stop(drainMs: number): Promise<void>
}

/** Adds up what this process counts, and writes it down behind it. */
export function runFigureWriter<Figures>(
  { db, clock, log }: Pick<Context, 'db' | 'clock' | 'log'>,
  { name, none, put, onGivenUp }: FigureKind<Figures>,
): FigureWriter<Figures> {
  const processId = clock.randomBytes(8).toString('hex')
  const cells = createCells(cellsMax, none, onGivenUp)

  async function write(): Promise<boolean> {
    const waiting = cells.take()
    try {
      while (waiting.length > 0) {
        await put(db.worker, processId, waiting.slice(0, cellsPerStatement))
        waiting.splice(0, cellsPerStatement)
      }
    } catch (error) {
      cells.putBack(waiting)
      throw error
    }
    cells.forget(clock.now().getTime())
    return false
  }

  async function drain(): Promise<void> {
    await loop.stop()
    await write()
  }

  const loop = runLoop({ name, pass: write, idleMs: writeEveryMs, log })
  return { count: cells.count, stop: (drainMs) => drainWithin(drainMs, drain(), log) }
}
