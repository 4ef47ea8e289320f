import type { EventStreamEndReason } from '#generated/types.ts'
import { type PlacedEvent, toEvent } from './event.ts'

/** Why a stream ends that its reader would have gone on with. */
export type StreamEnd = 'SHUTDOWN' | 'ACCESS' | 'UNAVAILABLE'

/** What a reader of the stream is told, one after the other. */
export type Piece =
  | { kind: 'event'; event: PlacedEvent }
  /** Nothing new: a sign of life, and how far was looked. */
  | { kind: 'alive'; lookedTo: number }
  | { kind: 'end'; reason: StreamEnd }

/** How long a reader should wait before it connects again, in ms. */
const retryMs = 1_000

/** What comes first: how to come back, and to which place, should it break before the first event. */
export function greetingAt(position: number): string {
  return `id: ${position}\nretry: ${retryMs}\n\n`
}

/** A piece as Server-Sent Events have it. A position alone moves the reader on and tells it nothing. */
export function frameOf(piece: Piece): string {
  switch (piece.kind) {
    case 'event':
      return `id: ${piece.event.position}\ndata: ${textOf(piece.event)}\n\n`
    case 'alive':
      return `id: ${piece.lookedTo}\n: alive\n\n`
    case 'end':
      return `event: end\nretry: ${retryMs}\ndata: ${JSON.stringify({ reason: piece.reason })}\n\n`
    default:
      return piece satisfies never
  }
}

/** The very bytes that webhooks carry, which are one line; what was erased is told as the feed does. */
export function textOf(event: PlacedEvent): string {
  if (event.body !== null) return event.body.toString('utf8')
  const { position: _, ...erased } = toEvent(event)
  return JSON.stringify(erased)
}

/** A piece as a WebSocket tells it. */
export function messageOf(piece: Exclude<Piece, { kind: 'end' }>): string {
  switch (piece.kind) {
    case 'event':
      return `{"kind":"EVENT","position":${piece.event.position},"event":${textOf(piece.event)}}`
    case 'alive':
      return JSON.stringify({ kind: 'ALIVE', position: piece.lookedTo })
    default:
      return piece satisfies never
  }
}

/** By which code of RFC 6455 and its registry each end is told: 1012 and 1013 say "come back". */
export const closeCodes: Readonly<Record<EventStreamEndReason, number>> = {
  NOT_TEXT: 1003,
  MALFORMED: 1007,
  ACCESS: 1008,
  SLOW_READER: 1008,
  TOO_MANY: 1008,
  SHUTDOWN: 1012,
  UNAVAILABLE: 1013,
}

/** What comes first on a WebSocket, and answers whoever goes on elsewhere. */
export function helloOf(position: number): string {
  return JSON.stringify({ kind: 'HELLO', position })
}

export function pongOf(id: string | undefined): string {
  return JSON.stringify({ kind: 'PONG', id })
}

/** The last message of a WebSocket. */
export function farewellOf(reason: EventStreamEndReason, detail?: string): string {
  return JSON.stringify({ kind: 'END', reason, detail })
}
