import type { AttemptOutcome } from './dispatch.ts'

/**
 * The *health* of an endpoint follows from what came of attempts at it, and decides how much it is
 * sent. It is HEALTHY while attempts succeed and DEGRADED while many do not. After many failures in
 * a row its *circuit* opens: it is PROBING, nothing is sent until `openUntil`, and then one delivery
 * at a time, until one is accepted. Overload halves how many may be under way at once; each success
 * adds one. Nothing here knows a clock: evidence brings its own times.
 */
export interface Health {
  state: 'HEALTHY' | 'DEGRADED' | 'PROBING'
  since: Date
  /** Attempts that failed since the last one that was accepted, and when the first of them ended. */
  consecutiveFailures: number
  firstFailureAt: Date | null
  lastFailureAt: Date | null
  lastSuccessAt: Date | null
  lastOutcome: AttemptOutcome | null
  /** Which part of the attempts failed, from 0 to 1; the latest count most. */
  failureShare: number
  /** How often in a row the circuit opened; 0 while it is closed. */
  openedCount: number
  openUntil: Date | null
  /** The endpoint asked for it by `Retry-After`. */
  pausedUntil: Date | null
  /** Under way at once; null is as many as otherwise. */
  inFlightLimit: number | null
  /** The newest first. */
  failures: readonly Failure[]
  /** How often its tenant was warned of these failures, and when last. */
  warned: number
  warnedAt: Date | null
}

export interface Failure {
  attemptId: string
  deliveryId: string
  outcome: AttemptOutcome
  responseStatus: number | null
  endedAt: string
}

/** What an attempt says of its endpoint. */
export interface Evidence {
  attemptId: string
  deliveryId: string
  outcome: AttemptOutcome
  responseStatus: number | null
  startedAt: Date
  endedAt: Date
  /** What the endpoint asked for; 0 when it did not. */
  retryAfterMs: number
}

const second = 1_000
const minute = 60 * second

/** So many failures in a row are no accident any more, … */
export const degradedAfter = 5
/** … and after so many nothing is sent for a while, since all of it would fail. */
export const opensAfter = 20

/** How long an open circuit lets nothing through: the first time, then doubled up to the most. */
export const openMs = { first: 10 * second, most: 10 * minute }

/** The most that `Retry-After` can keep everything from an endpoint. */
export const pauseMsMax = 60 * minute

/** A newer attempt takes this part of what the share of failures is. */
const shareOfNew = 0.1
/** From this share of failures on an endpoint is DEGRADED, and below that one it is well. */
const shares = { degraded: 0.5, well: 0.05 }

/** Attempts that are kept as evidence. */
export const failuresMax = 10

/** What is told by our side, or has consequences of its own, says nothing of health. */
const saysNothing: ReadonlySet<AttemptOutcome> = new Set([
  'TRANSFORMATION_FAILED',
  'INTERRUPTED',
  'GONE',
])

export function saysOfHealth(outcome: AttemptOutcome | undefined): boolean {
  return outcome !== undefined && !saysNothing.has(outcome)
}

/** An endpoint of which nothing bad is known. */
export function newHealth(since: Date): Health {
  return {
    ...{ state: 'HEALTHY', since, consecutiveFailures: 0, firstFailureAt: null },
    ...{ lastFailureAt: null, lastSuccessAt: null, lastOutcome: null, failureShare: 0 },
    ...{ openedCount: 0, openUntil: null, pausedUntil: null, inFlightLimit: null },
    ...{ failures: [], warned: 0, warnedAt: null },
  }
}

/** The health after one more attempt, of which `inFlightMax` may be under way when all is well. */
export function noteOutcome(before: Health, evidence: Evidence, inFlightMax: number): Health {
  const { outcome, endedAt } = evidence
  if (!saysOfHealth(outcome)) return before
  const after =
    outcome === 'DELIVERED'
      ? accepted(before, endedAt, inFlightMax)
      : failed(before, evidence, inFlightMax)
  const state = stateOf(after, endedAt)
  return state === before.state ? after : { ...after, state, since: endedAt }
}

function accepted(before: Health, endedAt: Date, inFlightMax: number): Health {
  const limit = before.inFlightLimit === null ? inFlightMax : before.inFlightLimit + 1
  return {
    ...before,
    ...{ consecutiveFailures: 0, firstFailureAt: null, openedCount: 0, openUntil: null },
    lastSuccessAt: later(before.lastSuccessAt, endedAt),
    lastOutcome: 'DELIVERED',
    failureShare: before.failureShare * (1 - shareOfNew),
    inFlightLimit: limit < inFlightMax ? limit : null,
  }
}

function failed(before: Health, evidence: Evidence, inFlightMax: number): Health {
  const { outcome, startedAt, endedAt } = evidence
  // What began before the last success says nothing newer than that.
  const isLate = before.lastSuccessAt !== null && startedAt < before.lastSuccessAt
  const after = {
    ...before,
    consecutiveFailures: before.consecutiveFailures + (isLate ? 0 : 1),
    firstFailureAt: isLate ? before.firstFailureAt : (before.firstFailureAt ?? endedAt),
    lastFailureAt: later(before.lastFailureAt, endedAt),
    lastOutcome: outcome,
    failureShare: before.failureShare * (1 - shareOfNew) + shareOfNew,
    pausedUntil: pausedBy(before.pausedUntil, evidence),
    inFlightLimit: limitAfter(before.inFlightLimit, evidence, inFlightMax),
    failures: [failureOf(evidence), ...before.failures].slice(0, failuresMax),
  }
  // Once open, only what was let through to probe opens it for longer.
  const { openedCount, openUntil } = before
  const opens =
    openedCount === 0
      ? after.consecutiveFailures >= opensAfter
      : openUntil !== null && startedAt >= openUntil
  return opens ? opened(after, endedAt) : after
}

function opened(before: Health, now: Date): Health {
  const lastsMs = Math.min(openMs.first * 2 ** before.openedCount, openMs.most)
  return {
    ...before,
    openedCount: before.openedCount + 1,
    openUntil: new Date(now.getTime() + lastsMs),
    inFlightLimit: 1,
  }
}

/**
 * Only what tells of too much changes how much it is: one that refuses all may do so quickly. Fewer
 * than one at once there cannot be.
 */
function limitAfter(limit: number | null, evidence: Evidence, inFlightMax: number): number | null {
  if (!isOverload(evidence)) return limit
  const halved = Math.max(1, Math.floor((limit ?? inFlightMax) / 2))
  return halved < inFlightMax ? halved : null
}

function isOverload({ outcome, responseStatus }: Evidence): boolean {
  return outcome === 'TIMED_OUT' || outcome === 'THROTTLED' || responseStatus === 503
}

function pausedBy(before: Date | null, { endedAt, retryAfterMs }: Evidence): Date | null {
  if (retryAfterMs <= 0) return before
  return later(before, new Date(endedAt.getTime() + Math.min(retryAfterMs, pauseMsMax)))
}

function failureOf({ attemptId, deliveryId, outcome, responseStatus, endedAt }: Evidence): Failure {
  return { attemptId, deliveryId, outcome, responseStatus, endedAt: endedAt.toISOString() }
}

/** Why an endpoint is not as it should be. */
export type Reason =
  | 'CIRCUIT_OPEN'
  | 'CIRCUIT_PROBING'
  | 'CONSECUTIVE_FAILURES'
  | 'FREQUENT_FAILURES'
  | 'FEWER_AT_ONCE'
  | 'RETRY_AFTER'

export function reasonsOf(health: Health, now: Date): Reason[] {
  const { openedCount, openUntil, pausedUntil } = health
  const isOpen = openedCount > 0
  const reasons: [Reason, boolean][] = [
    ['CIRCUIT_OPEN', isOpen && openUntil !== null && openUntil > now],
    ['CIRCUIT_PROBING', isOpen && (openUntil === null || openUntil <= now)],
    ['CONSECUTIVE_FAILURES', health.consecutiveFailures >= degradedAfter],
    ['FREQUENT_FAILURES', health.failureShare >= shares.degraded],
    ['FEWER_AT_ONCE', !isOpen && health.inFlightLimit !== null],
    ['RETRY_AFTER', pausedUntil !== null && pausedUntil > now],
  ]
  return reasons.flatMap(([reason, holds]) => (holds ? [reason] : []))
}

function stateOf(health: Health, now: Date): Health['state'] {
  if (health.openedCount > 0) return 'PROBING'
  return reasonsOf(health, now).length > 0 ? 'DEGRADED' : 'HEALTHY'
}

/** Whether there is nothing left to remember. */
export function isWell(health: Health, now: Date): boolean {
  const { consecutiveFailures, failureShare, warned } = health
  if (consecutiveFailures > 0 || warned > 0 || failureShare >= shares.well) return false
  return reasonsOf(health, now).length === 0
}

/** The later of two moments, of which the first may never be. */
export function later(one: Date | null, other: Date): Date {
  return one !== null && one > other ? one : other
}
