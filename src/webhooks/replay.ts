import { selects } from '#events/selector.ts'
import type { WebhookReplayPreview, WebhookReplayRequest } from '#generated/types.ts'
import { firstIdAt } from '#ids.ts'
import type { Misfit } from '#jobs/misfit.ts'
import { taskName } from '#jobs/task.ts'
import { waitDaysMax } from './delivery.ts'
import { type Filter, passes } from './filter.ts'

/**
 * A *replay* goes through the log once more and decides, event by event and endpoint by endpoint,
 * what is due again and what was never promised. It ends at the position that was last when it
 * began: what comes later is told as always, so that nothing is told twice by being in both.
 */
export type ReplayPayload = Pick<WebhookReplayRequest, 'since' | 'until'> &
  Required<Pick<WebhookReplayRequest, 'which' | 'webhookId' | 'deliveriesPerSecond'>> &
  Pick<WebhookReplayRequest, 'endpointIds' | 'eventTypes'>

export const webhookReplay = taskName<ReplayPayload>('WEBHOOK_REPLAY')

/** While one of these is there, a second is refused: they would wait for each other's endpoints. */
export const replayKey = 'webhook-replay'

/** An event of the log, as a replay sees it. */
export interface Replayable {
  position: number
  eventId: string
  createdOn: string
  type: string
  /** The only endpoint that it is for; null is all. */
  endpointId: string | null
  /** What it says; undefined unless a filter asks. */
  payload: unknown
}

export interface Listener {
  id: string
  eventTypes: readonly string[]
  /** Empty lets all events through. */
  filter: Filter
  /** Whether an expression makes what it is sent. */
  isTransformed: boolean
}

/** The last delivery of an event to an endpoint. */
export interface LastDelivery {
  id: string
  eventId: string
  endpointId: string
  status: string
}

/** What a page of the log makes due. */
export interface Plan {
  /** Deliveries that end, and begin anew. */
  again: LastDelivery[]
  /** Deliveries that nobody made. */
  fresh: { event: Replayable; endpointId: string; isTransformed: boolean }[]
  /** Events of which there is at least one of them. */
  eventCount: number
  /** The last event that was looked at, when there was no room for the others. */
  cutAt: number | undefined
}

export function replayOf(request: WebhookReplayRequest): ReplayPayload {
  const { which = 'MISSING', webhookId = 'KEEP', deliveriesPerSecond = 100, ...rest } = request
  return { ...rest, which, webhookId, deliveriesPerSecond }
}

export function misfitOfReplay({ since, until }: ReplayPayload, now: Date): Misfit | undefined {
  const ageMs = now.getTime() - Date.parse(since)
  if (ageMs > waitDaysMax * 24 * 60 * 60 * 1_000) {
    return { pointer: '/since', message: `must be at most ${waitDaysMax} days ago` }
  }
  if (until === undefined || Date.parse(until) > Date.parse(since)) return undefined
  return { pointer: '/until', message: 'must be after `since`' }
}

/** Whether an event lies in the time and is of the types that a replay is about. */
export function isAbout({ since, until, eventTypes = ['*'] }: ReplayPayload, event: Replayable) {
  const isSince = event.eventId >= firstIdAt('evt', Date.parse(since))
  const isUntil = until === undefined || event.eventId < firstIdAt('evt', Date.parse(until))
  return isSince && isUntil && selects(eventTypes, event.type)
}

/** Ends behind the event with which there are `most` deliveries, however many endpoints it has. */
export function planOf(
  { which }: ReplayPayload,
  events: readonly Replayable[],
  listeners: readonly Listener[],
  promised: readonly LastDelivery[],
  most = Number.POSITIVE_INFINITY,
): Plan {
  const last = new Map(promised.map((one) => [`${one.eventId} ${one.endpointId}`, one]))
  const plan: Plan = { again: [], fresh: [], eventCount: 0, cutAt: undefined }
  for (const [at, event] of events.entries()) {
    const before = plan.again.length + plan.fresh.length
    if (before >= most) return { ...plan, cutAt: events[at - 1]?.position }
    for (const listener of listeners) {
      const made = last.get(`${event.eventId} ${listener.id}`)
      // What was promised once stays promised, whatever the endpoint wants by now.
      if (made !== undefined) {
        if (isWanted(which, made.status)) plan.again.push(made)
      } else if (which !== 'UNDELIVERED' && isFor(listener, event)) {
        plan.fresh.push({ event, endpointId: listener.id, isTransformed: listener.isTransformed })
      }
    }
    if (plan.again.length + plan.fresh.length > before) plan.eventCount += 1
  }
  return plan
}

function isWanted(which: ReplayPayload['which'], status: string): boolean {
  if (status === 'EXHAUSTED' || status === 'CANCELLED') return true
  return status === 'DELIVERED' && which === 'ALL'
}

/** What was for one endpoint alone, as tests are, that one was told of. */
function isFor({ eventTypes, filter }: Listener, event: Replayable): boolean {
  const { type, endpointId, payload } = event
  if (endpointId !== null || !selects(eventTypes, type)) return false
  return filter.length === 0 || passes(filter, payload)
}

/** Whether what events say decides if one of these is told of them. */
export function asksForPayloads(
  { which }: Pick<ReplayPayload, 'which'>,
  listeners: readonly Listener[],
): boolean {
  return which !== 'UNDELIVERED' && listeners.some(({ filter }) => filter.length > 0)
}

/** Adds to what each endpoint has what it has of a plan. */
export function addShares(counts: Map<string, number>, { again, fresh }: Plan): void {
  for (const { endpointId } of [...again, ...fresh]) {
    counts.set(endpointId, (counts.get(endpointId) ?? 0) + 1)
  }
}

/** How many deliveries there are of each endpoint, as the contract has it. */
export function toShares(counts: ReadonlyMap<string, number>): WebhookReplayPreview['endpoints'] {
  return Array.from(counts, ([endpointId, deliveryCount]) => ({
    endpointId: endpointId as WebhookReplayPreview['endpoints'][number]['endpointId'],
    deliveryCount,
  }))
}
