import { Cron } from 'croner'
import type { Misfit } from './misfit.ts'

/*
 * When something is to be done again and again. Everything here is given its moment: the same
 * question has the same answer, whenever it is asked.
 */

/** Times by a cron expression of five fields, on the clocks of a time zone. */
export interface Timing {
  cron: string
  timeZone: string
}

/** The first time after a moment; undefined when there is none, as on 31 February. */
export function nextRun(timing: Timing, after: Date): Date | undefined {
  return cronOf(timing).nextRun(after) ?? undefined
}

/** The times from one moment to another, both included: the newest `max` of them, oldest first. */
export function runsWithin(timing: Timing, from: Date, to: Date, max: number): Date[] {
  const cron = cronOf(timing)
  const runs: Date[] = []
  // Times are on whole minutes, so that a second later only `to` itself is new.
  let before = new Date(Math.floor(to.getTime() / 1_000) * 1_000 + 1_000)
  while (runs.length < max) {
    const [run] = cron.previousRuns(1, before)
    if (run === undefined || run < from) break
    runs.push(run)
    before = run
  }
  return runs.reverse()
}

/** What is wrong with a timing that has the form of one; `now` is when it would begin. */
export function misfitOfTiming(timing: Timing, now: Date): Misfit | undefined {
  const pointer = '/cron'
  if (!isTimeZone(timing.timeZone)) return { pointer: '/timeZone', message: 'is no time zone' }
  try {
    if (nextRun(timing, now) !== undefined) return undefined
    return { pointer, message: 'names no time that ever comes' }
  } catch (error) {
    return { pointer, message: messageOf(error) }
  }
}

/** The library names its class before what is wrong. */
function messageOf(error: unknown): string {
  return `cannot be read: ${(error as Error).message.replace(/^\w+: /, '')}`.slice(0, 300)
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/**
 * A time of day without a wildcard is kept through changes of the clocks: in a gap it comes right
 * after, and when it comes twice, once.
 */
function cronOf({ cron, timeZone }: Timing): Cron {
  return new Cron(cron, {
    ...{ timezone: timeZone, mode: '5-part', fixedTimeRule: 'no-wildcard' },
    paused: true,
  })
}
