import { sql } from 'kysely'
import type { Db } from '#db/database.ts'
import type { InvoiceStatus } from '#generated/types.ts'
import { type CreationFilter, duringPeriod, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { TenantId } from '#ids.ts'
import { columns, fromRow, never } from './invoice.sql.ts'
import type { Invoice } from './invoice.ts'

type Sort = CreationFilter['sort'] | 'dueDate' | '-dueDate'

export interface InvoiceFilter extends Omit<CreationFilter, 'sort'> {
  sort: Sort
  clientId?: string | undefined
  proposalId?: string | undefined
  status?: InvoiceStatus | undefined
  number?: string | undefined
  dueBefore?: string | undefined
  /** Includes the day itself, as a moment does in `createdAfter`. */
  dueAfter?: string | undefined
}

export async function pageInvoices(
  db: Db,
  tenantId: TenantId,
  filter: InvoiceFilter,
  page: PageRequest,
): Promise<Invoice[]> {
  const { clientId, proposalId, status, number, dueBefore, dueAfter } = filter
  let query = inOrder(db, tenantId, filter, page)
  if (clientId !== undefined) query = query.where('client_id', '=', clientId)
  if (proposalId !== undefined) query = query.where('proposal_id', '=', proposalId)
  if (status !== undefined) query = query.where('status', '=', status)
  if (number !== undefined) query = query.where('number', '=', number)
  if (dueBefore !== undefined) query = query.where('due_date', '<', dueBefore)
  if (dueAfter !== undefined) {
    query = query.where('due_date', '>=', dueAfter).where('due_date', '<', never)
  }
  return (await query.execute()).map(fromRow)
}

function inOrder(db: Db, tenantId: TenantId, filter: InvoiceFilter, page: PageRequest) {
  const all = db.selectFrom('invoice').select(columns).where('tenant_id', '=', tenantId)
  const prefix = 'inv'
  const { sort } = filter
  if (!isByDueDate(sort)) return inOrderOfCreation(all, { prefix }, { ...filter, sort }, page)
  const isLatestFirst = sort === '-dueDate'
  const direction = isLatestFirst ? 'desc' : 'asc'
  const ordered = duringPeriod(all, { prefix }, filter)
    .orderBy('due_date', direction)
    .orderBy('id', direction) // tells apart what is due on one day
    .limit(page.limit + 1)
  if (!page.after) return ordered
  const [day, id] = page.after
  const beyond = isLatestFirst ? sql`<` : sql`>`
  return ordered.where(sql<boolean>`(due_date, id) ${beyond} (${day}::date, ${id})`)
}

/** Where an invoice stands in the order. */
export function placeIn(sort: Sort): (invoice: Invoice) => string[] {
  return ({ id, dueDate }) => (isByDueDate(sort) ? [dueDate ?? never, id] : [id])
}

function isByDueDate(sort: Sort): sort is 'dueDate' | '-dueDate' {
  return sort === 'dueDate' || sort === '-dueDate'
}
