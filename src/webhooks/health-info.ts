import type { WebhookEndpointHealth } from '#generated/types.ts'
import type { Endpoint } from './endpoint.ts'
import { disabledNotBefore } from './failing.ts'
import { type Health, type Reason, reasonsOf } from './health.ts'

/** What is shown of an endpoint's health. */
export function toHealth(
  endpoint: Pick<Endpoint, 'id' | 'status' | 'disabledAt' | 'options'>,
  health: Health,
  now: Date,
): WebhookEndpointHealth {
  const { inFlightMax } = endpoint.options
  const isDisabled = endpoint.status === 'DISABLED'
  const until = isDisabled ? null : sendsAgainAt(health, now)
  const reasons = [
    ...(isDisabled ? ['DISABLED' as const] : []),
    ...reasonsOf(health, now).filter((code) => !isDisabled || !code.startsWith('CIRCUIT')),
  ]
  return {
    endpointId: endpoint.id,
    state: isDisabled ? 'DISABLED' : health.state,
    since: ((isDisabled && endpoint.disabledAt) || health.since).toISOString(),
    reasons: reasons.map((code) => ({ code, message: sentences[code](health, inFlightMax) })),
    consecutiveFailures: health.consecutiveFailures,
    firstFailureAt: written(health.firstFailureAt),
    lastFailureAt: written(health.lastFailureAt),
    lastSuccessAt: written(health.lastSuccessAt),
    lastOutcome: health.lastOutcome,
    openUntil: written(until),
    inFlightLimit: isDisabled ? 0 : limitOf(health, inFlightMax),
    warningCount: health.warned,
    disabledNotBefore: isDisabled ? null : written(disabledNotBefore(health)),
    failures: health.failures.map((failure) => ({
      ...failure,
    })) as WebhookEndpointHealth['failures'],
  }
}

const sentences: Record<Reason | 'DISABLED', (health: Health, inFlightMax: number) => string> = {
  DISABLED: () => 'The endpoint is disabled; what it would be told is held for it.',
  CIRCUIT_OPEN: ({ consecutiveFailures, openUntil }) =>
    `Its circuit is open after ${consecutiveFailures} failures in a row; ` +
    `nothing is sent before ${written(openUntil)}.`,
  CIRCUIT_PROBING: ({ consecutiveFailures }) =>
    `After ${consecutiveFailures} failures in a row one delivery at a time is sent, ` +
    'until one is accepted.',
  CONSECUTIVE_FAILURES: ({ consecutiveFailures, firstFailureAt }) =>
    `${consecutiveFailures} attempts in a row failed, the first at ${written(firstFailureAt)}.`,
  FREQUENT_FAILURES: ({ failureShare }) =>
    `Of the latest attempts ${Math.round(failureShare * 100)} % failed.`,
  FEWER_AT_ONCE: (health, inFlightMax) =>
    `It had too much, and is sent ${limitOf(health, inFlightMax)} at once instead of ` +
    `${inFlightMax}; each success adds one.`,
  RETRY_AFTER: ({ pausedUntil }) =>
    `It asked us by Retry-After to wait; nothing is sent before ${written(pausedUntil)}.`,
}

const limitOf = ({ inFlightLimit }: Health, inFlightMax: number): number =>
  Math.min(inFlightLimit ?? inFlightMax, inFlightMax)

/** When something is sent again; null when nothing keeps it. */
function sendsAgainAt({ openUntil, pausedUntil }: Health, now: Date): Date | null {
  const lastMs = Math.max(openUntil?.getTime() ?? 0, pausedUntil?.getTime() ?? 0)
  return lastMs > now.getTime() ? new Date(lastMs) : null
}

function written(moment: Date | null): string | null {
  return moment?.toISOString() ?? null
}
