import type { RefundInfo } from '#generated/types.ts'
import { type Exact, exactOf, numberOf } from '#http/decimal.ts'
import type { Id } from '#ids.ts'
import { type Payment, restOf } from './payment.ts'

/** A *refund* is money that went back from one payment. It never changes. */
export interface Refund {
  id: Id<'ref'>
  paymentId: string
  amount: Exact
  currency: string
  reason: string | null
  createdAt: Date
}

/** How much goes back, or why nothing does. */
export type RefundVerdict =
  | { ok: true; amount: Exact }
  | { ok: false; code: 'invalid_state' | 'amount_exceeds_rest'; reason: string }

/** Without an amount, all that is left goes back. */
export function judgeRefund(payment: Payment, wanted: number | undefined): RefundVerdict {
  const rest = restOf(payment)
  if (rest === 0n) {
    const reason = `The payment is ${payment.status}: there is nothing left of it.`
    return { ok: false, code: 'invalid_state', reason }
  }
  const amount = wanted === undefined ? rest : exactOf(wanted)
  if (amount <= rest) return { ok: true, amount }
  const reason = `Of the payment, ${numberOf(rest)} ${payment.currency} is left.`
  return { ok: false, code: 'amount_exceeds_rest', reason }
}

export function newRefund(
  id: Id<'ref'>,
  payment: Payment,
  { amount, reason }: { amount: Exact; reason?: string | undefined },
  now: Date,
): Refund {
  return {
    id,
    paymentId: payment.id,
    amount,
    currency: payment.currency,
    reason: reason ?? null,
    createdAt: now,
  }
}

export function toRefund(refund: Refund): RefundInfo {
  return {
    id: refund.id,
    paymentId: refund.paymentId,
    amount: numberOf(refund.amount),
    currency: refund.currency,
    reason: refund.reason,
    createdAt: refund.createdAt.toISOString(),
  }
}
