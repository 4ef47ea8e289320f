import type { Clock } from '#clock.ts'
import type { Claimed } from './claim.sql.ts'
import type { Recorded, RecordedAttempt } from './dispatch.sql.ts'
import {
  type Attempted,
  errorOf,
  leaseMs,
  nameOutcome,
  nextStep,
  retryAfterMs,
} from './dispatch.ts'
import { usualDelaysSeconds } from './retry-policy.ts'

/** Turns an outcome into what is recorded of it, for each that it is shared by: they go on together. */
export function concludeAll(
  clock: Clock,
  claims: readonly Claimed[],
  outcome: Attempted,
  startedAt: Date,
): Recorded[] {
  const retryCount = Math.max(...claims.map((claimed) => claimed.retryCount))
  const all = claims.map((claimed) =>
    conclude(clock, { ...claimed, retryCount }, outcome, startedAt),
  )
  const [first] = all
  return all.map((recorded, at) => ({
    ...recorded,
    next: first?.next ?? recorded.next,
    // The very claim, by which it is known to be in flight.
    claimed: claims[at] ?? recorded.claimed,
  }))
}

/** Turns an outcome into what is recorded of it. */
export function conclude(
  clock: Clock,
  claimed: Claimed,
  outcome: Attempted,
  startedAt: Date,
): Recorded {
  const endedAt = clock.now()
  const { retryCount, retryDelaysSeconds } = claimed
  const delaysSeconds = retryDelaysSeconds ?? usualDelaysSeconds
  const next = nextStep(outcome, { delaysSeconds, retryCount }, endedAt, clock.random())
  const responseStatus = outcome.kind === 'answered' ? outcome.status : null
  const webhookId = claimed.webhookId === claimed.eventId ? null : claimed.webhookId
  const attempts = claimed.interruptedAt.map((at, index) => ({
    ...interruption(clock.newId('att'), claimed.attemptCount + 1 + index, claimed.dueAt, at),
    webhookId,
  }))
  attempts.push({
    id: clock.newId('att'),
    number: claimed.attemptCount + attempts.length + 1,
    startedAt,
    durationMs: outcome.durationMs,
    outcome: nameOutcome(outcome),
    responseStatus,
    responseBody: outcome.kind === 'answered' ? outcome.body : null,
    error: errorOf(outcome),
    address: outcome.kind === 'answered' ? outcome.address : null,
    webhookId,
  })
  return {
    claimed,
    attempts,
    next: next.kind === 'retry' ? next.at : next.kind === 'done' ? 'DELIVERED' : 'EXHAUSTED',
    retryCount: retryCount + (next.kind === 'retry' ? 1 : 0),
    responseStatus,
    retryAfterMs: askedMsOf(outcome, endedAt),
    endedAt,
  }
}

/** For how long an endpoint that has too much asked to be left alone. */
function askedMsOf(outcome: Attempted, now: Date): number {
  if (outcome.kind !== 'answered' || (outcome.status !== 429 && outcome.status !== 503)) return 0
  return retryAfterMs(outcome.headers['retry-after'], now)
}

/** What is known of an attempt whose worker died: it began under its lease, once it was due. */
function interruption(
  id: string,
  number: number,
  dueAt: Date,
  leasedUntil: Date,
): Omit<RecordedAttempt, 'webhookId'> {
  return {
    id,
    number,
    startedAt: new Date(Math.max(leasedUntil.getTime() - leaseMs, dueAt.getTime())),
    durationMs: 0,
    outcome: 'INTERRUPTED',
    responseStatus: null,
    responseBody: null,
    error: 'The process that sent this stopped before it could record the answer.',
    address: null,
  }
}
