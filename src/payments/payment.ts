import type { PaymentInfo, PaymentInput, PaymentStatus } from '#generated/types.ts'
import { exactOf, numberOf } from '../http/decimal.ts'
import type { Id } from '../ids.ts'

/**
 * A *payment* is money received. It never goes away: what goes back is a *refund*, taken from what
 * is left of it. Whoever gives back holds the payment's row, so that two refunds at once cannot
 * take the same money.
 */
export type Payment = Omit<PaymentInfo, 'id' | 'receivedAt' | 'createdAt' | 'updatedAt'> & {
  id: Id<'pay'>
  receivedAt: Date
  createdAt: Date
  updatedAt: Date
}

export function newPayment(id: Id<'pay'>, input: PaymentInput, now: Date): Payment {
  return {
    id,
    amount: input.amount,
    currency: input.currency,
    clientId: input.clientId ?? null,
    method: input.method ?? null,
    status: 'RECEIVED',
    receivedAt: input.receivedAt === undefined ? now : new Date(input.receivedAt),
    refundedAmount: 0,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

/** What is left of a payment. */
export function restOf({ amount, refundedAmount }: Payment): number {
  return numberOf(exactOf(amount) - exactOf(refundedAmount))
}

/** The payment after `amount`, no more than its rest, went back. */
export function refundPayment(payment: Payment, amount: number, now: Date): Payment {
  const refundedAmount = numberOf(exactOf(payment.refundedAmount) + exactOf(amount))
  return {
    ...payment,
    refundedAmount,
    status: statusOf(payment.amount, refundedAmount),
    updatedAt: now,
    revision: payment.revision + 1,
  }
}

function statusOf(amount: number, refundedAmount: number): PaymentStatus {
  if (refundedAmount === 0) return 'RECEIVED'
  return refundedAmount < amount ? 'PARTIALLY_REFUNDED' : 'REFUNDED'
}

export function toPayment(payment: Payment): PaymentInfo {
  return {
    id: payment.id,
    amount: payment.amount,
    currency: payment.currency,
    clientId: payment.clientId,
    method: payment.method,
    status: payment.status,
    receivedAt: payment.receivedAt.toISOString(),
    refundedAmount: payment.refundedAmount,
    createdAt: payment.createdAt.toISOString(),
    updatedAt: payment.updatedAt.toISOString(),
    revision: payment.revision,
  }
}
