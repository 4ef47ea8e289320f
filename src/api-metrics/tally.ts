import { addTo, newSketch, type Sketch } from '#figures/sketch.ts'
import type { FinishedCall } from '#http/trail.ts'
import type { TenantId } from '#ids.ts'

/**
 * A *tally* is what this process answered in the last minutes, added up by tenant, operation and
 * key. A row of the database is the process's own, and is overwritten with the totals so far: what
 * is written twice is written once.
 */
export interface Tally {
  add(call: FinishedCall): void
  /** Rows with something new in them, marked as written. */
  takeCells(): Cell[]
  takeBeats(nowMs: number): Beat[]
  /** They were not written after all. */
  putBack(rows: readonly (Cell | Beat)[]): void
  /** Beats of the minute in which they were written are signs of life. */
  confirm(beats: readonly Beat[], nowMs: number): void
  /** Lets go of minutes that are over and written. */
  forget(nowMs: number): void
}

/** What was answered in one minute to one key that asked for one operation. */
export interface Cell extends Sums {
  readonly tenantId: TenantId
  readonly minuteMs: number
  /** Empty where no operation was met. */
  readonly operationId: string
  /** Empty without a key. */
  readonly apiKeyId: string
  readonly sketch: Sketch
  isNew: boolean
}

interface Sums {
  calls: number
  clientErrors: number
  serverErrors: number
  limitHits: number
  requestBytes: number
  responseBytes: number
}

/** One minute of this process, over all tenants. */
export interface Beat {
  readonly minuteMs: number
  /** Whether the database took a row of this minute within the minute. */
  isAlive: boolean
  calls: number
  failures: number
  isNew: boolean
}

export const minuteMs = 60_000

export const minuteOf = (ms: number): number => Math.floor(ms / minuteMs) * minuteMs

/** `onGivenUp` hears of calls that will be in no figure, because too many cells were waiting. */
export function createTally(cellsMax: number, onGivenUp: (calls: number) => void): Tally {
  const minutes = new Map<number, Map<string, Cell>>()
  const beats = new Map<number, Beat>()
  let cellCount = 0

  function cellOf(call: FinishedCall): Cell | undefined {
    const at = minuteOf(call.finishedAtMs)
    const operationId = call.operation?.operationId ?? ''
    const apiKeyId = call.apiKeyId ?? ''
    const name = `${call.tenantId} ${operationId} ${apiKeyId}`
    const known = minutes.get(at)?.get(name)
    if (known !== undefined) return known
    if (cellCount >= cellsMax && !giveUpOldest(at)) return undefined
    const cells = minutes.get(at) ?? new Map<string, Cell>()
    minutes.set(at, cells)
    const cell = newCell(call.tenantId, at, operationId, apiKeyId)
    cells.set(name, cell)
    cellCount += 1
    return cell
  }

  /** Drops the oldest minute to make room; a minute never makes room for itself. */
  function giveUpOldest(current: number): boolean {
    const oldest = Math.min(...minutes.keys())
    if (oldest >= current) return false
    const cells = [...(minutes.get(oldest)?.values() ?? [])].filter(({ isNew }) => isNew)
    onGivenUp(cells.reduce((calls, cell) => calls + cell.calls, 0))
    letGo(oldest)
    return true
  }

  function letGo(minute: number): void {
    cellCount -= minutes.get(minute)?.size ?? 0
    minutes.delete(minute)
  }

  function beatOf(minute: number): Beat {
    const beat = beats.get(minute) ?? newBeat(minute)
    beats.set(minute, beat)
    return beat
  }

  return {
    add(call) {
      const cell = cellOf(call)
      if (cell === undefined) onGivenUp(1)
      else count(cell, call)
      const beat = beatOf(minuteOf(call.finishedAtMs))
      beat.calls += 1
      if (call.status >= 500) beat.failures += 1
      beat.isNew = true
    },
    takeCells() {
      const taken = [...minutes.values()].flatMap((cells) =>
        [...cells.values()].filter(({ isNew }) => isNew),
      )
      for (const cell of taken) cell.isNew = false
      return taken
    },
    takeBeats(nowMs) {
      const current = beatOf(minuteOf(nowMs))
      current.isNew ||= !current.isAlive
      const taken = [...beats.values()].filter(({ isNew }) => isNew)
      for (const beat of taken) beat.isNew = false
      return taken
    },
    putBack(rows) {
      for (const row of rows) row.isNew = true
    },
    confirm(written, nowMs) {
      for (const beat of written) beat.isAlive ||= beat.minuteMs === minuteOf(nowMs)
    },
    forget(nowMs) {
      // The minute before stays, so that a clock set back a little overwrites no row with less.
      const over = minuteOf(nowMs) - minuteMs
      for (const [minute, cells] of minutes) {
        if (minute < over && ![...cells.values()].some(({ isNew }) => isNew)) letGo(minute)
      }
      for (const [minute, beat] of beats) if (minute < over && !beat.isNew) beats.delete(minute)
    },
  }
}

function newCell(tenantId: TenantId, at: number, operationId: string, apiKeyId: string): Cell {
  return {
    tenantId,
    minuteMs: at,
    operationId,
    apiKeyId,
    calls: 0,
    clientErrors: 0,
    serverErrors: 0,
    limitHits: 0,
    requestBytes: 0,
    responseBytes: 0,
    sketch: newSketch(),
    isNew: true,
  }
}

function newBeat(minute: number): Beat {
  return { minuteMs: minute, isAlive: false, calls: 0, failures: 0, isNew: true }
}

function count(cell: Cell, call: FinishedCall): void {
  cell.calls += 1
  if (call.status >= 500) cell.serverErrors += 1
  else if (call.status >= 400) cell.clientErrors += 1
  if (call.status === 429) cell.limitHits += 1
  cell.requestBytes += call.requestBytes
  cell.responseBytes += call.responseBytes
  addTo(cell.sketch, call.durationMs)
  cell.isNew = true
}
