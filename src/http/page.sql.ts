import { type SelectQueryBuilder, sql } from 'kysely'
import { firstIdAt, type IdPrefix } from '#ids.ts'
import type { PageRequest } from './page.ts'

/** How most lists can be ordered, and cut out of time: from `createdAfter` until `createdBefore`. */
export interface CreationFilter {
  sort: '-createdAt' | 'createdAt'
  createdAfter?: string | undefined
  createdBefore?: string | undefined
}

/** The columns that say which row it is, and since when it is there. */
export interface CreationColumns {
  prefix: IdPrefix
  id?: string
  createdAt?: string
}

/**
 * A page in order of creation, with one row more than was asked for. Ids are in that order, so their
 * order is total and lies in the primary key: pages neither skip nor repeat.
 */
export function inOrderOfCreation<DB, TB extends keyof DB, Row>(
  query: SelectQueryBuilder<DB, TB, Row>,
  columns: CreationColumns,
  { sort, ...period }: CreationFilter,
  { limit, after }: PageRequest,
): SelectQueryBuilder<DB, TB, Row> {
  const isNewestFirst = sort === '-createdAt'
  const id = sql.ref<string>(columns.id ?? 'id')
  const page = query.orderBy(id, isNewestFirst ? 'desc' : 'asc').limit(limit + 1)
  const within = duringPeriod(page, columns, period)
  return after ? within.where(id, isNewestFirst ? '<' : '>', String(after[0])) : within
}

/** An id is made a little after its row is dated, and a request takes no longer than this. */
const idLagMs = 60_000

/** By the row's own date; the id, which carries about the same one, says where to look. */
export function duringPeriod<DB, TB extends keyof DB, Row>(
  query: SelectQueryBuilder<DB, TB, Row>,
  columns: CreationColumns,
  { createdAfter, createdBefore }: Omit<CreationFilter, 'sort'>,
): SelectQueryBuilder<DB, TB, Row> {
  const id = sql.ref<string>(columns.id ?? 'id')
  const createdAt = sql.ref<Date>(columns.createdAt ?? 'created_at')
  let within = query
  if (createdAfter !== undefined) {
    const start = new Date(createdAfter)
    within = within
      .where(id, '>=', firstIdAt(columns.prefix, start.getTime() - idLagMs))
      .where(createdAt, '>=', start)
  }
  if (createdBefore !== undefined) {
    const end = new Date(createdBefore)
    within = within
      .where(id, '<', firstIdAt(columns.prefix, end.getTime() + idLagMs))
      .where(createdAt, '<', end)
  }
  return within
}
