import type { Selectable } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import type { PaymentStatus } from '#generated/types.ts'
import { decimalText, exactOf } from '#http/decimal.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { Payment } from './payment.ts'

const columns = [
  'id',
  'client_id',
  'invoice_id',
  'amount',
  'currency',
  'method',
  'received_at',
  'refunded_amount',
  'status',
  'revision',
  'created_at',
  'updated_at',
] as const

type Row = Pick<Selectable<Tables['payment']>, (typeof columns)[number]>

function fromRow(row: Row): Payment {
  return {
    id: row.id as Id<'pay'>,
    clientId: row.client_id,
    invoiceId: row.invoice_id,
    amount: exactOf(row.amount),
    currency: row.currency,
    method: row.method as Payment['method'],
    receivedAt: row.received_at,
    refundedAmount: exactOf(row.refunded_amount),
    status: row.status as PaymentStatus,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

export function insertPayment(tx: Tx, tenantId: TenantId, payment: Payment): void {
  const amount = decimalText(payment.amount)
  const refundedAmount = decimalText(payment.refundedAmount)
  tx.queue(paymentInsert.bind({ tenantId, ...payment, amount, refundedAmount }))
}

type Written = Omit<Payment, 'amount' | 'refundedAmount'> & {
  tenantId: TenantId
  amount: string
  refundedAmount: string
}

const paymentInsert = statement('payment_insert', (a: Written) =>
  build.insertInto('payment').values({
    tenant_id: a.tenantId,
    id: a.id,
    client_id: a.clientId,
    invoice_id: a.invoiceId,
    amount: a.amount,
    currency: a.currency,
    method: a.method,
    received_at: a.receivedAt,
    refunded_amount: a.refundedAmount,
    status: a.status,
    revision: a.revision,
    created_at: a.createdAt,
    updated_at: a.updatedAt,
  }),
)

/** Queues what a refund changes of a payment; another change of the same revision is a conflict. */
export function updatePayment(tx: Tx, tenantId: TenantId, payment: Payment): void {
  const refundedAmount = decimalText(payment.refundedAmount)
  const revisionBefore = payment.revision - 1
  tx.queue(paymentUpdate.bind({ tenantId, ...payment, refundedAmount, revisionBefore }))
}

const paymentUpdate = touchingOne(
  'payment_update',
  'conflict',
  (a: Omit<Written, 'amount'> & { revisionBefore: number }) =>
    build
      .updateTable('payment')
      .set({
        refunded_amount: a.refundedAmount,
        status: a.status,
        updated_at: a.updatedAt,
        revision: a.revision,
      })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore),
)

export async function findPayment(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, paymentById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const paymentById = statement('payment_by_id', (a: { tenantId: TenantId; id: string }) =>
  build
    .selectFrom('payment')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id),
)

/** The payment, held against other refunds until the transaction ends. */
export async function lockPayment(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, paymentLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

const paymentLocked = statement('payment_locked', (a: { tenantId: TenantId; id: string }) =>
  build
    .selectFrom('payment')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .forNoKeyUpdate(),
)

export interface PaymentFilter extends CreationFilter {
  clientId?: string | undefined
  invoiceId?: string | undefined
  status?: PaymentStatus | undefined
}

export async function pagePayments(
  db: Db,
  tenantId: TenantId,
  filter: PaymentFilter,
  page: PageRequest,
): Promise<Payment[]> {
  const all = db.selectFrom('payment').select(columns).where('tenant_id', '=', tenantId)
  let query = inOrderOfCreation(all, { prefix: 'pay' }, filter, page)
  const { clientId, invoiceId, status } = filter
  if (clientId !== undefined) query = query.where('client_id', '=', clientId)
  if (invoiceId !== undefined) query = query.where('invoice_id', '=', invoiceId)
  if (status !== undefined) query = query.where('status', '=', status)
  return (await query.execute()).map(fromRow)
}
