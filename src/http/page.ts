import type { Context } from '#context.ts'
import type { Call } from './operation.ts'
import { problem } from './problem.ts'

/** What a list operation was asked for, its cursor opened. */
export interface PageRequest {
  limit: number
  /** The place of the last row of the page before; undefined on the first page. */
  after: readonly (string | number)[] | undefined
}

/** The query parameters that every list has. */
export interface PageQuery {
  limit: number
  cursor?: string | undefined
}

/** A page as the contract has it. */
export interface Page<Item> {
  data: Item[]
  nextCursor: string | null
}

/**
 * Opens the cursor of a list. A cursor holds for one tenant, one list and one set of filters: it is
 * sealed, and opens under nothing else (`invalid_cursor`).
 */
export function pageOf(ctx: Context, call: Call, list: string, query: PageQuery): PageRequest {
  if (query.cursor === undefined) return { limit: query.limit, after: undefined }
  const after = ctx.secrets.openCursor(bindingOf(call, list, query), query.cursor)
  if (!Array.isArray(after)) {
    throw problem('invalid_cursor', {
      errors: [{ parameter: 'cursor', code: 'invalid', message: 'is not a cursor of this list' }],
    })
  }
  return { limit: query.limit, after }
}

/**
 * Cuts the extra row off, which only told whether there is a next page, and seals where that begins.
 * `placeOf` gives the values that the list is ordered by.
 */
export function toPage<Row, Item>(
  ctx: Context,
  call: Call,
  list: string,
  query: PageQuery,
  rows: readonly Row[],
  placeOf: (row: Row) => readonly (string | number)[],
  toItem: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, query.limit)
  const last = shown.at(-1)
  const hasMore = rows.length > query.limit && last !== undefined
  return {
    data: shown.map(toItem),
    nextCursor: hasMore ? sealPlace(ctx, call, list, query, placeOf(last)) : null,
  }
}

/** The cursor of a place in a list. */
export function sealPlace(
  ctx: Context,
  call: Call,
  list: string,
  query: PageQuery,
  place: readonly (string | number)[],
): string {
  return ctx.secrets.sealCursor(bindingOf(call, list, query), place)
}

function bindingOf(call: Call, list: string, query: PageQuery): string {
  const { cursor: _, limit: __, ...filters } = query
  const sorted = Object.entries(filters).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([call.tenantId, list, sorted])
}
