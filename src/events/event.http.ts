import type { EventTypeInfo } from '#generated/types.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, sealPlace, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireGiven } from './beyond.ts'
import { findEvent, pageEvents, pageFeed } from './event.sql.ts'
import { isEventType, toEvent, toEventType, typeNames } from './event.ts'
import { findOwnType, listOwnTypes } from './own-type.sql.ts'
import { type OwnType, toOwnType } from './own-type.ts'
import { schemaOf } from './schema.ts'
import { inQuery, requireSelectable } from './selectable.ts'

export const listEvents: Operation<'listEvents'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'events', query)
  refuseTogether(query)
  await requireSelectable(db, call.tenantId, query.eventType, inQuery)
  if (query.sort === 'position') {
    const { after = 0 } = query
    await requireGiven(db, call.tenantId, after, { parameter: 'after' })
    const request = {
      after: Number(page.after?.[0] ?? after),
      limit: page.limit,
      types: query.eventType,
    }
    const { events, lookedTo } = await pageFeed(db, call.tenantId, request)
    // A feed has no end: its cursor says where to go on once there is more.
    const nextCursor = sealPlace(ctx, call, 'events', query, [lookedTo])
    return { status: 200, body: { data: events.map(toEvent), nextCursor } }
  }
  const { events, hasMore } = await pageEvents(db, call.tenantId, query, page)
  const last = hasMore ? events.at(-1) : undefined
  const nextCursor = last ? sealPlace(ctx, call, 'events', query, [last.id]) : null
  return { status: 200, body: { data: events.map(toEvent), nextCursor } }
}

/** Where a list is cut: a feed by position, since where in it a moment lies is not known. */
interface Cut {
  after?: number
  occurredAfter?: string
  occurredBefore?: string
}

function refuseTogether({ sort, ...cut }: Cut & { sort: string }): void {
  const strange: (keyof Cut)[] =
    sort === 'position' ? ['occurredAfter', 'occurredBefore'] : ['after']
  const given = strange.filter((name) => cut[name] !== undefined)
  if (given.length === 0) return
  const message = `cannot be combined with sort=${sort}`
  throw problem('invalid_request', {
    detail: `${given.join(' and ')} ${message}.`,
    errors: given.map((parameter) => ({ parameter, code: 'not_together', message })),
  })
}

export const getEvent: Operation<'getEvent'> = async (_ctx, call, { path }, db) => {
  return { status: 200, body: toEvent(found(await findEvent(db, call.tenantId, path.eventId))) }
}

export const listEventTypes: Operation<'listEventTypes'> = async (ctx, call, { query }, db) => {
  const { after, limit } = pageOf(ctx, call, 'event-types', query)
  const own = await listOwnTypes(db, call.tenantId)
  const ofName = new Map(own.map((type) => [type.type, type]))
  const all = [...typeNames, ...ofName.keys()].sort()
  const isRising = query.sort === 'type'
  const ordered = isRising ? all : all.toReversed()
  // The last one of the page before may have been removed since.
  const last = after === undefined ? undefined : String(after[0])
  const isLeft = (name: string) => last === undefined || (isRising ? name > last : name < last)
  const names = ordered.filter(isLeft).slice(0, limit + 1)
  const toInfo = (name: string) => {
    const { schema: _, ...info } = infoOf(ofName.get(name) ?? name)
    return info
  }
  const body = toPage(ctx, call, 'event-types', query, names, (name) => [name], toInfo)
  return { status: 200, body }
}

function infoOf(type: OwnType | string): EventTypeInfo {
  if (typeof type !== 'string') return toOwnType(type)
  if (!isEventType(type)) throw problem('not_found')
  return toEventType(type)
}

export const getEventType: Operation<'getEventType'> = async (_ctx, call, { path }, db) => {
  if (path.eventType.startsWith('custom.')) {
    const own = found(await findOwnType(db, call.tenantId, path.eventType))
    return { status: 200, body: toOwnType(own) }
  }
  if (!isEventType(path.eventType)) throw problem('not_found')
  const schema = schemaOf(path.eventType)
  return { status: 200, body: { ...toEventType(path.eventType), ...(schema && { schema }) } }
}
