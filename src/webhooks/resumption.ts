import type { WebhookResumptionPreview, WebhookResumptionRequest } from '#generated/types.ts'
import { firstIdAt } from '#ids.ts'
import type { Misfit } from '#jobs/misfit.ts'
import { taskName } from '#jobs/task.ts'

/**
 * A *resumption* enables an endpoint, and says what becomes of all that was held for it: ALL is sent,
 * or what happened SINCE a moment, or NONE. What is not wanted is skipped before the endpoint is
 * enabled, so that none of it is sent, however long that takes and whatever dies meanwhile.
 */
export interface ResumptionPayload {
  endpointId: string
  backlog: WebhookResumptionRequest['backlog']
  /** What happened before this is skipped; null skips nothing. */
  sentFrom: string | null
}

export const webhookResumption = taskName<ResumptionPayload>('WEBHOOK_RESUMPTION')

/** An endpoint is resumed by one job at a time. */
export const resumptionKey = (endpointId: string): string => `webhook-resumption ${endpointId}`

export function resumptionOf(
  endpointId: string,
  { backlog, since }: WebhookResumptionRequest,
  now: Date,
): ResumptionPayload {
  const sentFrom = { ALL: null, SINCE: since ?? null, NONE: now.toISOString() }[backlog]
  return { endpointId, backlog, sentFrom }
}

export function misfitOfResumption(
  { backlog, since }: WebhookResumptionRequest,
  now: Date,
): Misfit | undefined {
  if (backlog === 'SINCE' && since === undefined) {
    return { pointer: '/since', message: 'is required where `backlog` is `SINCE`' }
  }
  if (since === undefined) return undefined
  if (backlog !== 'SINCE') {
    return { pointer: '/since', message: 'is for `backlog` `SINCE` alone' }
  }
  return Date.parse(since) > now.getTime()
    ? { pointer: '/since', message: 'must not be in the future' }
    : undefined
}

/** The first event that is sent; null sends all of them. */
export function firstEventSent({ sentFrom }: Pick<ResumptionPayload, 'sentFrom'>): string | null {
  return sentFrom === null ? null : firstIdAt('evt', Date.parse(sentFrom))
}

const hourMs = 60 * 60 * 1_000

/** Ages that a preview tells apart, in ms; what is older than all of them is told by itself. */
export const ages = { HOUR: hourMs, DAY: 24 * hourMs, WEEK: 7 * 24 * hourMs } as const

/** What is held for an endpoint, counted. */
export interface Held {
  all: number
  /** Of events since each of these moments. */
  sinceHour: number
  sinceDay: number
  sinceWeek: number
  /** Of events since the moment that is asked about; null where none is. */
  sinceAsked: number | null
  oldestAt: Date | null
  newestAt: Date | null
}

export function toPreview(held: Held): WebhookResumptionPreview {
  const { all, sinceHour, sinceDay, sinceWeek, sinceAsked } = held
  const choice = (backlog: WebhookResumptionRequest['backlog'], sent: number) => ({
    backlog,
    sentCount: sent,
    cancelledCount: all - sent,
  })
  return {
    heldCount: all,
    oldestAt: held.oldestAt?.toISOString() ?? null,
    newestAt: held.newestAt?.toISOString() ?? null,
    ages: [
      { within: 'HOUR', count: sinceHour },
      { within: 'DAY', count: sinceDay - sinceHour },
      { within: 'WEEK', count: sinceWeek - sinceDay },
      { within: 'OLDER', count: all - sinceWeek },
    ],
    choices: [
      choice('ALL', all),
      ...(sinceAsked === null ? [] : [choice('SINCE', sinceAsked)]),
      choice('NONE', 0),
    ],
  }
}
