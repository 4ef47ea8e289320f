import { record } from '#audit/record.ts'
import { requireClient } from '#clients/reference.ts'
import { publish } from '#events/publish.ts'
import { exactOf } from '#http/decimal.ts'
import { requireCurrency, requirePrecision } from '#http/money.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found } from '#http/problem.ts'
import { requirePayable, settle } from '#invoices/settlement.ts'
import { findPayment, insertPayment, pagePayments } from './payment.sql.ts'
import { newPayment, toPayment } from './payment.ts'

export const createPayment: Operation<'createPayment'> = async (_ctx, call, { body }, tx) => {
  requirePrecision(body.amount, requireCurrency(body.currency), '/amount')
  const { invoiceId, clientId } = body
  const offer = { ...body, amount: exactOf(body.amount) }
  const invoice = invoiceId ? await requirePayable(tx, call.tenantId, invoiceId, offer) : undefined
  // The client of an invoice is known, and may pay it even after being deleted.
  if (!invoice && clientId) await requireClient(tx, call.tenantId, clientId)
  const input = invoice ? { ...body, clientId: invoice.clientId } : body
  const payment = newPayment(tx.newId('pay'), input, call.now)
  const view = toPayment(payment)

  insertPayment(tx, call.tenantId, payment)
  record(tx, call, 'payment.received', payment.id, { after: view })
  publish(tx, call, 'payment.received', view)
  if (invoice) settle(tx, call, invoice, payment.amount)
  return { status: 201, headers: { Location: `/api/v1/payments/${payment.id}` }, body: view }
}

export const listPayments: Operation<'listPayments'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'payments', query)
  const payments = await pagePayments(db, call.tenantId, query, page)
  return {
    status: 200,
    body: toPage(ctx, call, 'payments', query, payments, ({ id }) => [id], toPayment),
  }
}

export const getPayment: Operation<'getPayment'> = async (_ctx, call, { path }, db) => {
  const payment = found(await findPayment(db, call.tenantId, path.paymentId))
  return { status: 200, body: toPayment(payment) }
}
