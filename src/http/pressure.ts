import type { Route } from '#generated/routes.ts'

/*
 * *Pressure* is how much more is asked of a process than it can do. While it is high, some calls are
 * refused at the door, which costs little, so that those that are let in are answered in time: first
 * writes, then reads. Health and metrics are never refused.
 */
export type Level = 'CALM' | 'NO_WRITES' | 'NOTHING'

/** What a process measures of itself. */
export interface Figures {
  /** By how much the event loop is late, as a mean over the last moments. */
  lagMs: number
  /** Calls that are let in and not answered. */
  inside: number
  /** Writes that wait for a connection. */
  writesWaiting: number
  /** Reads under way or waiting, on the shared connections. */
  readsWaiting: number
}

export interface Pressure {
  level: Level
  /** Since when it could be lower; undefined while it could not. */
  calmSinceMs: number | undefined
}

export const calm: Pressure = { level: 'CALM', calmSinceMs: undefined }

type Bounds = Omit<Figures, 'inside'>

/** From here on no more is let in; at half of it, again. */
const bounds: Record<'NO_WRITES' | 'NOTHING', Bounds> = {
  NO_WRITES: { lagMs: 60, writesWaiting: 256, readsWaiting: 1_000 },
  NOTHING: { lagMs: 100, writesWaiting: Number.POSITIVE_INFINITY, readsWaiting: 2_000 },
}

/** With fewer calls than this inside, a loop that is late has other reasons than calls. */
const insideMin = 100

/** What was refused comes back: only when it stays calm for so long is more let in. */
const calmForMs = 1_000

const ranks: readonly Level[] = ['CALM', 'NO_WRITES', 'NOTHING']

/** The pressure after a look: up at once, down a step at a time and only after a calm while. */
export function nextPressure(before: Pressure, figures: Figures, nowMs: number): Pressure {
  const asked = levelOf(figures, 1)
  if (ranks.indexOf(asked) > ranks.indexOf(before.level)) {
    return { level: asked, calmSinceMs: undefined }
  }
  const rank = ranks.indexOf(before.level)
  const isCalmer = ranks.indexOf(levelOf(figures, 0.5)) < rank
  if (!isCalmer) return { level: before.level, calmSinceMs: undefined }
  const calmSinceMs = before.calmSinceMs ?? nowMs
  if (nowMs - calmSinceMs < calmForMs) return { level: before.level, calmSinceMs }
  return { level: ranks[rank - 1] ?? 'CALM', calmSinceMs: undefined }
}

function levelOf(figures: Figures, share: number): Level {
  if (exceeds(figures, bounds.NOTHING, share)) return 'NOTHING'
  return exceeds(figures, bounds.NO_WRITES, share) ? 'NO_WRITES' : 'CALM'
}

function exceeds(figures: Figures, { lagMs, writesWaiting, readsWaiting }: Bounds, share: number) {
  const isLate = figures.inside >= insideMin * share && figures.lagMs >= lagMs * share
  return (
    isLate ||
    figures.writesWaiting >= writesWaiting * share ||
    figures.readsWaiting >= readsWaiting * share
  )
}

/** Whether calls of this kind are refused now. */
export function isShed(level: Level, kind: Route['kind']): boolean {
  switch (level) {
    case 'CALM':
      return false
    case 'NO_WRITES':
      return kind === 'write'
    case 'NOTHING':
      return true
    default:
      return level satisfies never
  }
}
