import type { Clock } from '#clock.ts'
import type { Cause } from '#http/operation.ts'
import { backoffMs } from './backoff.ts'
import type { Ending, Started } from './run.sql.ts'
import { type Task, TaskPause, TaskRefusal } from './task.ts'

/** Why a run was broken off. */
export type Broken = 'time' | 'cancelled' | 'lost' | 'stopping'

/** What is kept of a result, at most, as JSON. */
const resultBytesMax = 64 * 1024

/** How a run that came to its end has ended. */
export function succeeded(result: object | undefined): Ending {
  if (result === undefined) return { status: 'SUCCEEDED', result: null }
  const text = JSON.stringify(result)
  return Buffer.byteLength(text) <= resultBytesMax
    ? { status: 'SUCCEEDED', result: text }
    : { status: 'FAILED', error: `Its result is larger than ${resultBytesMax} bytes.` }
}

/** What became of a run that threw, or was broken off. */
export interface Unfinished {
  /** Runs in a row that got no further, this one included. */
  fruitless: number
  error: unknown
  broken: Broken | undefined
  /** Whether it failed since the database was away. */
  isCutOff: boolean
}

/** Nobody's fault, and soon over. */
const afterCutMs = 5_000

/** How a run has ended that threw, or was broken off: to be tried again while patience lasts. */
export function unfinished(
  { attemptsMax, backoff, timeoutMs }: Task,
  { fruitless, error, broken, isCutOff }: Unfinished,
  { now, random }: { now: Date; random: number },
): Ending {
  if (broken === 'stopping') return { status: 'GIVEN_BACK' }
  if (broken === 'cancelled') return { status: 'CANCELLED' }
  const after = (ms: number) => new Date(now.getTime() + ms)
  if (broken === undefined) {
    if (error instanceof TaskPause) return { status: 'GIVEN_BACK', dueAt: after(error.ms) }
    if (isCutOff) return { status: 'GIVEN_BACK', dueAt: after(afterCutMs) }
  }
  const words = wordsOf(error, broken, timeoutMs)
  const isFinal = fruitless >= attemptsMax || (error instanceof TaskRefusal && broken === undefined)
  if (isFinal) return { status: 'FAILED', error: words }
  return { status: 'PENDING', dueAt: after(backoffMs(backoff, fruitless, random)), error: words }
}

/** What the tenant is told: a refusal's own words; of what is our fault only that it is. */
function wordsOf(error: unknown, broken: Broken | undefined, timeoutMs: number): string {
  if (broken === 'time') return `It took longer than ${timeoutMs / 1_000} seconds.`
  if (error instanceof TaskRefusal) return error.message
  return 'It failed by a fault of ours, which is in our log.'
}

/** What a run's deeds are put down to: whoever asked for the job, now. */
export function causeOf({ actor, correlationId, traceparent }: Started, clock: Clock): Cause {
  return {
    actor,
    now: clock.now(),
    requestId: clock.newId('req'),
    correlationId,
    traceparent,
    ip: null,
  }
}
