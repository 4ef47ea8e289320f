import { type EventType, eventTypes } from '#generated/events.ts'
import type { EventTypeInfo, WebhookEventInfo } from '#generated/types.ts'

/** An event as it is read back: the stored envelope, and its place in the tenant's stream. */
export interface StoredEvent {
  id: string
  type: string
  version: number
  occurredAt: Date
  /** The bytes that were sent; null once they were erased. */
  body: Buffer | null
  /** null for the moment between the commit and the sequencer. */
  position: number | null
}

/** An event in the feed, which has its position. */
export type PlacedEvent = StoredEvent & { position: number }

/** The stored bytes once more as an object: what was sent is what is shown. */
export function toEvent({ body, position, ...event }: StoredEvent): WebhookEventInfo {
  if (body === null) {
    const { id, version, occurredAt } = event
    const type = event.type as EventType
    return { id, type, version, timestamp: occurredAt.toISOString(), data: null, position }
  }
  return { ...(JSON.parse(body.toString('utf8')) as Omit<WebhookEventInfo, 'position'>), position }
}

/** The types of the contract, in alphabetical order. */
export const typeNames = Object.keys(eventTypes).sort() as EventType[]

export function isEventType(text: string): text is EventType {
  return Object.hasOwn(eventTypes, text)
}

export function toEventType(type: EventType): EventTypeInfo {
  const { version, description, example } = eventTypes[type]
  return { type, version, description, example: example as EventTypeInfo['example'] }
}
