import { record } from '#audit/record.ts'
import { publish } from '#events/publish.ts'
import { minorDigitsOf } from '#http/currency.ts'
import { decimalsMax, type Exact } from '#http/decimal.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import { requirePrecision } from '#http/money.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { lockInvoice } from '#invoices/invoice.sql.ts'
import { unsettle } from '#invoices/settlement.ts'
import { findPayment, lockPayment, updatePayment } from './payment.sql.ts'
import { type Payment, refundPayment, toPayment } from './payment.ts'
import { findRefund, insertRefund, pageRefunds } from './refund.sql.ts'
import { judgeRefund, newRefund, toRefund } from './refund.ts'

export const createRefund: Operation<'createRefund'> = async (_ctx, call, { path, body }, tx) => {
  const payment = found(await lockPayment(tx, call.tenantId, path.paymentId))
  const amount = requireRest(payment, body.amount)
  const refund = newRefund(tx.newId('ref'), payment, { amount, reason: body.reason }, call.now)
  const refunded = refundPayment(payment, amount, call.now)
  const [before, after, view] = [toPayment(payment), toPayment(refunded), toRefund(refund)]
  const changedFields = changedFieldsOf(before, after)
  const { invoiceId } = payment
  const invoice = invoiceId ? await lockInvoice(tx, call.tenantId, invoiceId) : undefined

  insertRefund(tx, call.tenantId, refund)
  updatePayment(tx, call.tenantId, refunded)
  record(tx, call, 'refund.created', refund.id, { after: view })
  record(tx, call, 'payment.refunded', payment.id, {
    before: pick(before, changedFields),
    after: pick(after, changedFields),
  })
  publish(tx, call, 'payment.refunded', after)
  if (invoice) unsettle(tx, call, invoice, amount)
  const location = `/api/v1/payments/${payment.id}/refunds/${refund.id}`
  return { status: 201, headers: { Location: location }, body: view }
}

export const listRefunds: Operation<'listRefunds'> = async (ctx, call, { path, query }, db) => {
  const { id } = found(await findPayment(db, call.tenantId, path.paymentId))
  const list = `payments/${id}/refunds`
  const page = pageOf(ctx, call, list, query)
  const refunds = await pageRefunds(db, call.tenantId, id, query, page)
  return {
    status: 200,
    body: toPage(ctx, call, list, query, refunds, (refund) => [refund.id], toRefund),
  }
}

export const getRefund: Operation<'getRefund'> = async (_ctx, call, { path }, db) => {
  const refund = found(await findRefund(db, call.tenantId, path.paymentId, path.refundId))
  return { status: 200, body: toRefund(refund) }
}

/** How much goes back: what was asked for, or all that is left. */
function requireRest(payment: Payment, wanted: number | undefined): Exact {
  // A currency may be withdrawn while its money still has to go back.
  const digits = minorDigitsOf(payment.currency) ?? decimalsMax
  if (wanted !== undefined) requirePrecision(wanted, digits, '/amount')
  const verdict = judgeRefund(payment, wanted)
  if (verdict.ok) return verdict.amount
  const { code, reason: detail } = verdict
  if (code === 'invalid_state') throw problem(code, { detail })
  throw problem(code, {
    detail,
    errors: [{ pointer: '/amount', code: 'out_of_range', message: 'is more than what is left' }],
  })
}
