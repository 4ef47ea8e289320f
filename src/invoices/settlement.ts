import type { Tx } from '#db/transact.ts'
import type { Exact } from '#http/decimal.ts'
import type { Call } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { advance } from './advance.ts'
import { lockInvoice } from './invoice.sql.ts'
import type { Invoice } from './invoice.ts'
import { giveBack, judgePayment, type Offer, receive } from './payable.ts'

/*
 * *Settlement* is what money does to an invoice. Whoever moves money holds the invoice's row from
 * the judgement to the commit, so that two payments at once cannot take the same due amount.
 */

/** The invoice that a payment names, held; throws when there is none, or it does not take it. */
export async function requirePayable(
  tx: Tx,
  tenantId: TenantId,
  invoiceId: string,
  offer: Offer,
): Promise<Invoice> {
  const invoice = await lockInvoice(tx, tenantId, invoiceId)
  if (invoice === undefined) {
    throw problem('reference_unknown', {
      detail: 'There is no such invoice.',
      errors: [{ pointer: '/invoiceId', code: 'unknown', message: 'names no invoice' }],
    })
  }
  const refusal = judgePayment(invoice, offer)
  if (refusal === undefined) return invoice
  const { code, reason: detail, pointer } = refusal
  throw problem(code, { detail, errors: [{ pointer, code, message: 'does not fit the invoice' }] })
}

/** Queues what a payment of `amount` changes. */
export function settle(tx: Tx, call: Call, invoice: Invoice, amount: Exact): void {
  const next = receive(invoice, amount, call.now)
  const type = next.status === 'PAID' ? 'invoice.paid' : 'invoice.updated'
  advance(tx, call, type, invoice, next)
}

/** Queues that `amount`, which is refunded, is due again. */
export function unsettle(tx: Tx, call: Call, invoice: Invoice, amount: Exact): void {
  advance(tx, call, 'invoice.updated', invoice, giveBack(invoice, amount, call.now))
}
