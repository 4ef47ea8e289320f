import type { Operation } from '#http/operation.ts'
import { pageOf, sealPlace, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { findEvent, pageEvents, pageFeed } from './event.sql.ts'
import { isEventType, type StoredEvent, toEvent, toEventType, typeNames } from './event.ts'
import { schemaOf } from './schema.ts'

export const listEvents: Operation<'listEvents'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'events', query)
  const isFeed = query.sort === 'position'
  const events = await (isFeed ? pageFeed : pageEvents)(db, call.tenantId, query, page)
  const placeOf = ({ id, position }: StoredEvent) => [isFeed ? (position ?? 0) : id]
  const body = toPage(ctx, call, 'events', query, events, placeOf, toEvent)
  if (!isFeed || body.nextCursor !== null) return { status: 200, body }
  // A feed has no end: its cursor says where to go on once there is more.
  const last = events.at(-1)
  const place = last ? placeOf(last) : (page.after ?? [0])
  return {
    status: 200,
    body: { ...body, nextCursor: sealPlace(ctx, call, 'events', query, place) },
  }
}

export const getEvent: Operation<'getEvent'> = async (_ctx, call, { path }, db) => {
  return { status: 200, body: toEvent(found(await findEvent(db, call.tenantId, path.eventId))) }
}

export const listEventTypes: Operation<'listEventTypes'> = async (ctx, call, { query }) => {
  const { after, limit } = pageOf(ctx, call, 'event-types', query)
  const isAscending = query.sort === 'type'
  const ordered = isAscending ? typeNames : typeNames.toReversed()
  const names: string[] = ordered
  const start = after ? names.indexOf(String(after[0])) + 1 : 0
  const types = ordered.slice(start, start + limit + 1)
  const body = toPage(ctx, call, 'event-types', query, types, (type) => [type], toEventType)
  return { status: 200, body }
}

export const getEventType: Operation<'getEventType'> = async (_ctx, _call, { path }) => {
  if (!isEventType(path.eventType)) throw problem('not_found')
  const schema = schemaOf(path.eventType)
  return { status: 200, body: { ...toEventType(path.eventType), ...(schema && { schema }) } }
}
