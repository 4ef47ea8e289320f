import type { Tx } from '#db/transact.ts'
import { type EventData, type EventType, eventTypes } from '#generated/events.ts'
import type { Cause } from '#http/operation.ts'
import { dayOf } from '#ids.ts'

/**
 * An *event* is an immutable fact in the past tense. It is written in the transaction that caused
 * it, so it exists exactly when its cause does; the sequencer gives it its position afterwards.
 */
export interface PublishOptions {
  /** The fields of `data` that changed; for `*.updated`. */
  changedFields?: readonly string[]
  /** Only this endpoint is told. */
  endpointId?: string
  /** Nothing of it happened: somebody tries an endpoint. */
  isTest?: boolean
}

/** The envelope as it is stored, signed and sent. */
export interface EventEnvelope<Type extends EventType = EventType> {
  id: `evt_${string}`
  type: Type
  version: number
  timestamp: string
  data: EventData[Type]
  changedFields?: string[]
  isTest?: true
}

/**
 * Queues an event with its pending row. Throws when the data does not fit the contract's schema of
 * the type, so that nothing of the transaction is written.
 */
export function publish<Type extends EventType>(
  tx: Tx,
  cause: Cause,
  type: Type,
  data: EventData[Type],
  { changedFields, endpointId, isTest = false }: PublishOptions = {},
): EventEnvelope<Type> {
  const { version, validate } = eventTypes[type]
  const id = tx.newId('evt')
  const envelope: EventEnvelope<Type> = {
    id,
    type,
    version,
    timestamp: cause.now.toISOString(),
    data,
    ...(changedFields ? { changedFields: [...changedFields] } : {}),
    ...(isTest ? { isTest } : {}),
  }
  if (!validate(envelope)) {
    const [error] = validate.errors ?? []
    throw new Error(`${type}${error?.instancePath ?? ''} ${error?.message ?? 'is not valid'}`)
  }
  queue(tx, cause, envelope, JSON.stringify(envelope), endpointId ?? null)
  return envelope
}

/** The most that an event may be, in bytes as it is sent. */
export const envelopeBytesMax = 256 * 1024

/** Queues the example of a type, marked as what it is. */
export function publishExample(
  tx: Tx,
  cause: Cause,
  type: EventType,
  { endpointId }: Required<Pick<PublishOptions, 'endpointId'>>,
): EventEnvelope {
  const { data, changedFields } = eventTypes[type].example as EventEnvelope
  const changed = changedFields && { changedFields }
  return publish(tx, cause, type, data, { ...changed, endpointId, isTest: true })
}

/** An event of a tenant's own type, as it is stored, signed and sent. */
export interface OwnEnvelope extends Omit<EventEnvelope, 'type' | 'data'> {
  type: string
  data: Record<string, unknown>
}

/** An event of a tenant's own that is not published yet, with its bytes. */
export interface OwnEvent {
  envelope: OwnEnvelope
  body: string
}

/** Undefined when it is too large. */
export function newOwnEvent(
  tx: Pick<Tx, 'newId'>,
  cause: Cause,
  { type, version }: { type: string; version: number },
  data: Record<string, unknown>,
): OwnEvent | undefined {
  const timestamp = cause.now.toISOString()
  const envelope = { id: tx.newId('evt'), type, version, timestamp, data }
  const body = JSON.stringify(envelope)
  return Buffer.byteLength(body) > envelopeBytesMax ? undefined : { envelope, body }
}

/** Queues an event of a tenant's own, whose data fits its type. */
export function publishOwn(tx: Tx, cause: Cause, { envelope, body }: OwnEvent): void {
  queue(tx, cause, envelope, body, null)
}

function queue(
  tx: Tx,
  cause: Cause,
  { id, type, version }: { id: `evt_${string}`; type: string; version: number },
  body: string,
  endpointId: string | null,
): void {
  tx.envelope.events.push({
    ...{ id, createdOn: dayOf(id), type, version, body, endpointId },
    occurredAt: cause.now,
    correlationId: cause.correlationId,
    traceparent: cause.traceparent,
  })
}
