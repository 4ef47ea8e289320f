import { type Exact, exactOf } from '#http/decimal.ts'
import { requireAmount } from '#http/money.ts'
import type { Invoice } from './invoice.ts'

/** What is still to be paid of an invoice: its total less what is paid, and nothing once VOIDED. */
export function dueOf({ status, totals, amountPaid }: Balance & { status: string }): Exact {
  return status === 'VOIDED' ? 0n : exactOf(totals.total) - amountPaid
}

type Balance = Pick<Invoice, 'totals' | 'amountPaid'>

/**
 * How an issued invoice stands when `amountPaid` of it is paid.
 * Throws `amount_out_of_range` for what a number cannot hold: a fraction of very many CLF.
 */
export function balanceOf({ totals }: Balance, amountPaid: Exact, now: Date) {
  const due = exactOf(totals.total) - amountPaid
  requireAmount(amountPaid, '/amount')
  requireAmount(due, '/amount')
  return due > 0n
    ? ({ amountPaid, status: 'OPEN', paidAt: null } as const)
    : ({ amountPaid, status: 'PAID', paidAt: now } as const)
}
