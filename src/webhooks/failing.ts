import { degradedAfter, type Health } from './health.ts'

const day = 24 * 60 * 60 * 1_000

/**
 * When an endpoint that goes on failing is warned of, and when it is disabled. Failures must be both
 * many and old: fifty in a minute are an outage, and one old failure is an accident. Nothing is
 * disabled without two warnings, the second at least a day before.
 */
export const failingLimits = {
  warn: { failuresMin: degradedAfter, forMs: 1 * day },
  warnAgain: { failuresMin: 25, forMs: 4 * day },
  disable: { failuresMin: 50, forMs: 5 * day, afterWarningMs: 1 * day },
} as const

/** What is to be done about the health of an endpoint. */
export type Measure = 'WARN' | 'DISABLE' | 'RECOVER'

export function measureOf(health: Health, now: Date): Measure | undefined {
  const { consecutiveFailures, firstFailureAt, warned, warnedAt } = health
  if (firstFailureAt === null) {
    return warned > 0 && health.state === 'HEALTHY' ? 'RECOVER' : undefined
  }
  const isFailing = ({ failuresMin, forMs }: { failuresMin: number; forMs: number }) =>
    consecutiveFailures >= failuresMin && now.getTime() - firstFailureAt.getTime() >= forMs
  if (warned === 0) return isFailing(failingLimits.warn) ? 'WARN' : undefined
  if (warned === 1) return isFailing(failingLimits.warnAgain) ? 'WARN' : undefined
  const { disable } = failingLimits
  const warnedForMs = warnedAt === null ? 0 : now.getTime() - warnedAt.getTime()
  return isFailing(disable) && warnedForMs >= disable.afterWarningMs ? 'DISABLE' : undefined
}

/** When an endpoint that goes on failing is disabled at the earliest; null when it does not fail. */
export function disabledNotBefore({ firstFailureAt, warned, warnedAt }: Health): Date | null {
  if (firstFailureAt === null) return null
  const { disable, warnAgain } = failingLimits
  const oldMs = firstFailureAt.getTime() + disable.forMs
  const warnedMs =
    warned > 1 && warnedAt !== null
      ? warnedAt.getTime()
      : firstFailureAt.getTime() + warnAgain.forMs
  return new Date(Math.max(oldMs, warnedMs + disable.afterWarningMs))
}
