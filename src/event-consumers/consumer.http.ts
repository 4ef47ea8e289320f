import { record } from '#audit/record.ts'
import { beyond, requireGiven } from '#events/beyond.ts'
import { findHead } from '#events/head.sql.ts'
import { publish } from '#events/publish.ts'
import { requireSelectable } from '#events/selectable.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import {
  countConsumers,
  deleteConsumer,
  findConsumer,
  insertConsumer,
  lockConsumer,
  pageConsumers,
  updateConsumer,
} from './consumer.sql.ts'
import { consumersMax, newConsumer, patchConsumer, toConsumer, typesOf } from './consumer.ts'
import { countWaiting } from './lag.sql.ts'

export const createEventConsumer: Operation<'createEventConsumer'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  if ((await countConsumers(tx, call.tenantId)) >= consumersMax) {
    throw problem('limit_reached', { detail: `A tenant has at most ${consumersMax} consumers.` })
  }
  await requireSelectable(tx, call.tenantId, body.eventTypes)
  const head = await findHead(tx, call.tenantId)
  const position = body.startAfter ?? head
  if (position > head) throw beyond({ pointer: '/startAfter' }, head)
  const consumer = newConsumer(tx.newId('evc'), body, position, call.now)
  const view = toConsumer(consumer)

  insertConsumer(tx, call.tenantId, consumer)
  record(tx, call, 'event_consumer.created', consumer.id, { after: view })
  publish(tx, call, 'event_consumer.created', view)
  const location = `/api/v1/event-consumers/${consumer.id}`
  return { status: 201, headers: { Location: location }, body: view }
}

export const listEventConsumers: Operation<'listEventConsumers'> = async (
  ctx,
  call,
  { query },
  db,
) => {
  const page = pageOf(ctx, call, 'event-consumers', query)
  const consumers = await pageConsumers(db, call.tenantId, query, page)
  const placeOf = ({ id }: { id: string }) => [id]
  return {
    status: 200,
    body: toPage(ctx, call, 'event-consumers', query, consumers, placeOf, toConsumer),
  }
}

export const getEventConsumer: Operation<'getEventConsumer'> = async (_ctx, call, { path }, db) => {
  const consumer = found(await findConsumer(db, call.tenantId, path.eventConsumerId))
  return { status: 200, body: toConsumer(consumer) }
}

export const updateEventConsumer: Operation<'updateEventConsumer'> = async (
  _ctx,
  call,
  { path, headers, body },
  tx,
) => {
  const { consumer } = found(await lockConsumer(tx, call.tenantId, path.eventConsumerId))
  requireMatch(headers['if-match'], consumer.revision)
  await requireSelectable(tx, call.tenantId, body.eventTypes)
  const { position = 0 } = body
  await requireGiven(tx, call.tenantId, position, { pointer: '/position' })
  const patched = patchConsumer(consumer, body, call.now)
  const [before, view] = [toConsumer(consumer), toConsumer(patched)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updateConsumer(tx, call.tenantId, patched)
  record(tx, call, 'event_consumer.updated', consumer.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'event_consumer.updated', view, { changedFields })
  return { status: 200, body: view }
}

export const deleteEventConsumer: Operation<'deleteEventConsumer'> = async (
  _ctx,
  call,
  { path, headers },
  tx,
) => {
  const { consumer } = found(await lockConsumer(tx, call.tenantId, path.eventConsumerId))
  requireMatch(headers['if-match'], consumer.revision)

  deleteConsumer(tx, call.tenantId, consumer.id)
  record(tx, call, 'event_consumer.deleted', consumer.id, { before: toConsumer(consumer) })
  publish(tx, call, 'event_consumer.deleted', toConsumer(consumer))
  return { status: 204 }
}

export const getEventConsumerLag: Operation<'getEventConsumerLag'> = async (
  _ctx,
  call,
  { path },
  db,
) => {
  const consumer = found(await findConsumer(db, call.tenantId, path.eventConsumerId))
  const { position } = consumer
  // The head after the position, so that it is never behind it.
  const headPosition = await findHead(db, call.tenantId)
  const range = { after: position, head: headPosition, types: typesOf(consumer) }
  const { count: eventsBehind, isExact, oldestAt } = await countWaiting(db, call.tenantId, range)
  const ageMs = oldestAt === null ? 0 : Math.max(0, call.now.getTime() - oldestAt.getTime())
  return {
    status: 200,
    body: {
      position,
      headPosition,
      eventsBehind,
      isExact,
      oldestAt: oldestAt?.toISOString() ?? null,
      ageSeconds: ageMs / 1_000,
    },
  }
}
