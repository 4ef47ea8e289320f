import type {
  EventCommitInput,
  EventConsumerInfo,
  EventConsumerInput,
  EventConsumerPatch,
} from '#generated/types.ts'
import type { Id } from '#ids.ts'

/**
 * A *consumer* is a place in the feed that is kept for a program: everything up to its position is
 * done. A *batch* is what is handed out of what follows, for as long as its lease; only one is out at
 * a time, and its id is what a commit must know. Promised: each event is handed out at least once,
 * in order, and again only after a lease that ended without its commit.
 */
export interface Consumer {
  id: Id<'evc'>
  name: string
  eventTypes: readonly EventConsumerInfo['eventTypes'][number][]
  position: number
  batchId: string | null
  leasedTo: number | null
  leasedUntil: Date | null
  createdAt: Date
  updatedAt: Date
  revision: number
}

export const consumersMax = 100

export function newConsumer(
  id: Id<'evc'>,
  { name, eventTypes }: EventConsumerInput,
  position: number,
  now: Date,
): Consumer {
  return {
    id,
    name,
    eventTypes: eventTypes ?? ['*'],
    position,
    batchId: null,
    leasedTo: null,
    leasedUntil: null,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

/** The consumer as it is asked to be; at another place or for other events, nothing of it is out. */
export function patchConsumer(
  consumer: Consumer,
  { name = consumer.name, eventTypes, position }: EventConsumerPatch,
  now: Date,
): Consumer {
  const renamed = changed({ ...consumer, name }, now)
  if (eventTypes === undefined && position === undefined) return renamed
  const nothingOut = { batchId: null, leasedTo: null, leasedUntil: null }
  const { eventTypes: types, position: place } = consumer
  return { ...renamed, ...nothingOut, eventTypes: eventTypes ?? types, position: position ?? place }
}

/** The selectors of what to look for; undefined is all. */
export function typesOf({ eventTypes }: Pick<Consumer, 'eventTypes'>): string[] | undefined {
  return eventTypes.includes('*') ? undefined : [...eventTypes]
}

/** How long a batch of it is still out, in ms, by the clock that wrote down until when. */
export function leasedForMs({ leasedUntil }: Consumer, now: Date): number {
  return leasedUntil === null ? 0 : Math.max(0, leasedUntil.getTime() - now.getTime())
}

/** The consumer once a batch of it is out; the one before, if it ended without a commit, is lost. */
export function withBatch(
  consumer: Consumer,
  batch: { id: string; leasedTo: number; leasedUntil: Date },
  now: Date,
): Consumer {
  const { id: batchId, leasedTo, leasedUntil } = batch
  return changed({ ...consumer, batchId, leasedTo, leasedUntil }, now)
}

/** The consumer behind events that are not for it; nothing of it is out any more. */
export function movedOn(consumer: Consumer, position: number, now: Date): Consumer {
  return changed({ ...consumer, position, leasedTo: null, leasedUntil: null }, now)
}

/** What a commit comes to: the consumer as it is then, or why it is refused. */
export type Commit =
  | { kind: 'committed'; consumer: Consumer }
  | { kind: 'unchanged' }
  | { kind: 'lost' }
  | { kind: 'beyond'; leasedTo: number }

/**
 * A commit counts as long as no other batch was handed out: until then nobody else has its events,
 * lease or not. What is committed already may be committed again, since the first answer may be lost.
 */
export function commit(
  consumer: Consumer,
  { batchId, position: asked }: EventCommitInput,
  now: Date,
): Commit {
  if (batchId !== consumer.batchId) return { kind: 'lost' }
  const leasedTo = consumer.leasedTo ?? consumer.position
  const position = asked ?? leasedTo
  if (position > leasedTo) return { kind: 'beyond', leasedTo }
  if (position <= consumer.position) return { kind: 'unchanged' }
  if (position === leasedTo)
    return { kind: 'committed', consumer: movedOn(consumer, position, now) }
  return { kind: 'committed', consumer: changed({ ...consumer, position }, now) }
}

function changed(consumer: Consumer, now: Date): Consumer {
  return { ...consumer, updatedAt: now, revision: consumer.revision + 1 }
}

export function toConsumer(consumer: Consumer): EventConsumerInfo {
  return {
    id: consumer.id,
    name: consumer.name,
    eventTypes: [...consumer.eventTypes],
    position: consumer.position,
    leasedTo: consumer.leasedTo,
    leasedUntil: consumer.leasedUntil?.toISOString() ?? null,
    createdAt: consumer.createdAt.toISOString(),
    updatedAt: consumer.updatedAt.toISOString(),
    revision: consumer.revision,
  }
}
