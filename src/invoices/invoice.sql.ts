import { type Selectable, sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import type { InvoiceStatus } from '#generated/types.ts'
import { decimalText, exactOf } from '#http/decimal.ts'
import type { Id, TenantId } from '#ids.ts'
import type { Invoice } from './invoice.ts'

export const columns = [
  'id',
  'number',
  'status',
  'client_id',
  'proposal_id',
  'currency',
  'lines',
  'subtotal',
  'tax',
  'total',
  'amount_paid',
  'issue_date',
  'due_date',
  'issued_at',
  'paid_at',
  'voided_at',
  'revision',
  'created_at',
  'updated_at',
] as const

/**
 * The due date of a draft that has none: it comes after all days. A null would need an expression
 * to be put in order, and behind the fence Postgres looks up no expression in an index.
 */
export const never = 'infinity'

type Row = Pick<Selectable<Tables['invoice']>, (typeof columns)[number]>

export function fromRow(row: Row): Invoice {
  return {
    id: row.id as Id<'inv'>,
    number: row.number,
    status: row.status as InvoiceStatus,
    clientId: row.client_id,
    proposalId: row.proposal_id,
    currency: row.currency,
    lines: row.lines as Invoice['lines'],
    totals: {
      subtotal: Number(row.subtotal),
      tax: Number(row.tax),
      total: Number(row.total),
    },
    amountPaid: exactOf(row.amount_paid),
    issueDate: row.issue_date,
    dueDate: row.due_date === never ? null : row.due_date,
    issuedAt: row.issued_at,
    paidAt: row.paid_at,
    voidedAt: row.voided_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

function toRow(invoice: Invoice) {
  return {
    number: invoice.number,
    status: invoice.status,
    client_id: invoice.clientId,
    proposal_id: invoice.proposalId,
    currency: invoice.currency,
    lines: JSON.stringify(invoice.lines),
    subtotal: String(invoice.totals.subtotal),
    tax: String(invoice.totals.tax),
    total: String(invoice.totals.total),
    amount_paid: decimalText(invoice.amountPaid),
    issue_date: invoice.issueDate,
    due_date: invoice.dueDate ?? never,
    issued_at: invoice.issuedAt,
    paid_at: invoice.paidAt,
    voided_at: invoice.voidedAt,
    revision: invoice.revision,
    updated_at: invoice.updatedAt,
  }
}

export function insertInvoice(tx: Tx, tenantId: TenantId, invoice: Invoice): void {
  const { id, createdAt } = invoice
  tx.queue(invoiceInsert.bind({ tenantId, id, createdAt, ...toRow(invoice) }))
}

type Written = { tenantId: TenantId; id: string } & ReturnType<typeof toRow>

const invoiceInsert = statement('invoice_insert', (a: Written & { createdAt: Date }) =>
  build.insertInto('invoice').values({
    tenant_id: a.tenantId,
    id: a.id,
    created_at: a.createdAt,
    ...columnsOf(a),
  }),
)

/** Queues the invoice's new state; another change of the same revision is a conflict. */
export function updateInvoice(tx: Tx, tenantId: TenantId, invoice: Invoice): void {
  const revisionBefore = invoice.revision - 1
  tx.queue(invoiceUpdate.bind({ tenantId, id: invoice.id, revisionBefore, ...toRow(invoice) }))
}

const invoiceUpdate = touchingOne(
  'invoice_update',
  'conflict',
  (a: Written & { revisionBefore: number }) =>
    build
      .updateTable('invoice')
      .set(columnsOf(a))
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore),
)

function columnsOf(a: Written) {
  return {
    number: a.number,
    status: a.status,
    client_id: a.client_id,
    proposal_id: a.proposal_id,
    currency: a.currency,
    lines: a.lines,
    subtotal: a.subtotal,
    tax: a.tax,
    total: a.total,
    amount_paid: a.amount_paid,
    issue_date: a.issue_date,
    due_date: a.due_date,
    issued_at: a.issued_at,
    paid_at: a.paid_at,
    voided_at: a.voided_at,
    revision: a.revision,
    updated_at: a.updated_at,
  }
}

export async function findInvoice(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, invoiceById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const invoiceById = statement('invoice_by_id', selectOne)

/** The invoice, held against other changes until the transaction ends. */
export async function lockInvoice(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, invoiceLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

const invoiceLocked = statement('invoice_locked', (a: OneInvoice) => selectOne(a).forNoKeyUpdate())

interface OneInvoice {
  tenantId: TenantId
  id: string
}

function selectOne(a: OneInvoice) {
  return build
    .selectFrom('invoice')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
}

/**
 * Counts one more issued invoice and answers how many that makes. From then on the tenant's other
 * issuances wait for the end of this transaction; if it fails, the count is as before. So ask last.
 */
export async function countIssued(tx: Tx, tenantId: TenantId): Promise<number> {
  const row = await fetchOne(tx, issuedCounted.bind({ tenantId }))
  return Number(row?.issued)
}

const issuedCounted = statement('invoice_issued_counted', (a: { tenantId: TenantId }) =>
  build
    .insertInto('invoice_counter')
    .values({ tenant_id: a.tenantId, issued: 1 })
    .onConflict((conflict) =>
      conflict.column('tenant_id').doUpdateSet({ issued: sql`invoice_counter.issued + 1` }),
    )
    .returning('issued'),
)
