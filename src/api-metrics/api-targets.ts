import { quantileOf } from '#figures/sketch.ts'
import type { ApiTargetInfo, ApiTargetStatus, ApiTargetWindow } from '#generated/types.ts'
import type { CallSums } from './api-metrics.ts'

/** What was measured: the installation's minutes, and the tenant's own calls. */
export interface Measured {
  minutes: { up: number; all: number }
  calls: CallSums
}

const dayMs = 24 * 60 * 60 * 1_000

export const windowMs: Readonly<Record<ApiTargetWindow, number>> = {
  LAST_24_HOURS: dayMs,
  LAST_7_DAYS: 7 * dayMs,
  LAST_30_DAYS: 30 * dayMs,
}

type Goal = Omit<ApiTargetInfo, 'current' | 'status' | 'observations'>

const uptime: Goal = {
  name: 'API_UPTIME',
  subject: 'INSTALLATION',
  comparison: 'ABOVE',
  target: 99.9,
  unit: 'PERCENT',
  basis:
    'The share of whole minutes in which an API process could write to the database and fewer ' +
    'than half of all calls to the installation were answered with 5xx. Minutes before the first ' +
    'such sign of life do not count; minutes in which nothing ran count as down.',
}

const latency: Goal = {
  name: 'AVERAGE_LATENCY',
  subject: 'TENANT',
  comparison: 'BELOW',
  target: 200,
  unit: 'MILLISECONDS',
  basis:
    'The time that 95 in 100 of your calls took at most, refused ones included, at most 1 % off.',
}

const errorRate: Goal = {
  name: 'ERROR_RATE',
  subject: 'TENANT',
  comparison: 'BELOW',
  target: 0.1,
  unit: 'PERCENT',
  basis: 'The share of your calls that were answered with 5xx.',
}

const limitHits: Goal = {
  name: 'RATE_LIMIT_HITS',
  subject: 'TENANT',
  comparison: 'BELOW',
  target: 1,
  unit: 'PERCENT',
  basis: 'The share of your calls that were answered with 429.',
}

/** The four targets, each with what it was and whether that is good enough. */
export function judgeTargets({ minutes, calls }: Measured): ApiTargetInfo[] {
  const percentOf = (count: number, all: number) => (all === 0 ? null : (count * 100) / all)
  return [
    judged(uptime, percentOf(minutes.up, minutes.all), minutes.all),
    judged(latency, quantileOf(calls.sketch, 0.95), calls.calls),
    judged(errorRate, percentOf(calls.serverErrors, calls.calls), calls.calls),
    judged(limitHits, percentOf(calls.limitHits, calls.calls), calls.calls),
  ]
}

function judged(goal: Goal, current: number | null, observations: number): ApiTargetInfo {
  return { ...goal, current, status: statusOf(goal, current), observations }
}

/** On the target is not past it. */
function statusOf({ comparison, target }: Goal, current: number | null): ApiTargetStatus {
  if (current === null) return 'NO_DATA'
  const isMet = comparison === 'ABOVE' ? current > target : current < target
  return isMet ? 'MET' : 'MISSED'
}
