import type { Operation } from '#http/operation.ts'
import { pageOf, sealPlace, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { findEvent, pageEvents, pageFeed } from './event.sql.ts'
import { isEventType, type StoredEvent, toEvent, toEventType, typeNames } from './event.ts'
import { schemaOf } from './schema.ts'

export const listEvents: Operation<'listEvents'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'events', query)
  if (query.sort === 'position') {
    refusePeriod(query)
    const types = query.type === undefined ? undefined : [query.type]
    const request = { after: Number(page.after?.[0] ?? 0), limit: page.limit, types }
    const { events, lookedTo } = await pageFeed(db, call.tenantId, request)
    // A feed has no end: its cursor says where to go on once there is more.
    const nextCursor = sealPlace(ctx, call, 'events', query, [lookedTo])
    return { status: 200, body: { data: events.map(toEvent), nextCursor } }
  }
  const events = await pageEvents(db, call.tenantId, query, page)
  const placeOf = ({ id }: StoredEvent) => [id]
  return { status: 200, body: toPage(ctx, call, 'events', query, events, placeOf, toEvent) }
}

/** A feed goes by position; where in it a moment lies is not known. */
function refusePeriod(query: { occurredAfter?: string; occurredBefore?: string }): void {
  const given = (['occurredAfter', 'occurredBefore'] as const).filter((name) => query[name])
  if (given.length === 0) return
  throw problem('invalid_request', {
    detail: 'With sort=position the list cannot be cut by time.',
    errors: given.map((parameter) => ({
      parameter,
      code: 'not_together',
      message: 'cannot be combined with sort=position',
    })),
  })
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
