import { type Exact, numberOf } from '#http/decimal.ts'
import { balanceOf, dueOf } from './balance.ts'
import { changed, type Invoice } from './invoice.ts'

/** What a payment says of itself. */
export interface Offer {
  amount: Exact
  currency: string
  clientId?: string | undefined
}

/** Why an invoice does not take a payment, and which field of the payment is to blame. */
export interface PaymentRefusal {
  code: 'invalid_state' | 'reference_mismatch' | 'amount_exceeds_rest'
  reason: string
  pointer: '/invoiceId' | '/clientId' | '/currency' | '/amount'
}

/** Whether an invoice takes a payment; undefined when it does. */
export function judgePayment(invoice: Invoice, offer: Offer): PaymentRefusal | undefined {
  const { status, clientId, currency } = invoice
  if (status !== 'OPEN') {
    const reason = `The invoice is ${status}, and only what is OPEN can be paid.`
    return { code: 'invalid_state', reason, pointer: '/invoiceId' }
  }
  if (offer.clientId !== undefined && offer.clientId !== clientId) {
    const reason = 'The invoice is to another client.'
    return { code: 'reference_mismatch', reason, pointer: '/clientId' }
  }
  if (offer.currency !== currency) {
    const reason = `The invoice is in ${currency}, not in ${offer.currency}.`
    return { code: 'reference_mismatch', reason, pointer: '/currency' }
  }
  if (offer.amount <= dueOf(invoice)) return undefined
  const reason = `Of the invoice, ${numberOf(dueOf(invoice))} ${currency} is due.`
  return { code: 'amount_exceeds_rest', reason, pointer: '/amount' }
}

/** The issued invoice after `amount`, no more than is due, came in. */
export function receive(invoice: Invoice, amount: Exact, now: Date): Invoice {
  const balance = balanceOf(invoice, invoice.amountPaid + amount, now)
  return changed({ ...invoice, ...balance }, now)
}

/** The issued invoice after `amount`, no more than came in, went back. */
export function giveBack(invoice: Invoice, amount: Exact, now: Date): Invoice {
  const balance = balanceOf(invoice, invoice.amountPaid - amount, now)
  return changed({ ...invoice, ...balance }, now)
}
