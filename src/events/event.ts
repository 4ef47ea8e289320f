import { type EventType, eventTypes } from '#generated/events.ts'
import type { EventTypeInfo, WebhookEventInfo } from '#generated/types.ts'
import { problem } from '#http/problem.ts'

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
    const { id, type, version, occurredAt } = event
    return { id, type, version, timestamp: occurredAt.toISOString(), data: null, position }
  }
  return { ...(JSON.parse(body.toString('utf8')) as Omit<WebhookEventInfo, 'position'>), position }
}

/** The types of the contract, in alphabetical order. */
export const typeNames = Object.keys(eventTypes).sort() as EventType[]

export function isEventType(text: string): text is EventType {
  return Object.hasOwn(eventTypes, text)
}

/** What a list is filtered by must be able to be there (`invalid_request`). */
export function requireType(parameter: string, type: string | undefined): void {
  if (type === undefined || isEventType(type) || type.startsWith('custom.')) return
  const message = 'is no type of event'
  throw problem('invalid_request', {
    detail: `${parameter} ${message}.`,
    errors: [{ parameter, code: 'enum', message }],
  })
}

export function toEventType(type: EventType): EventTypeInfo {
  const { version, description, example } = eventTypes[type]
  return { type, version, description, example: example as EventTypeInfo['example'] }
}
