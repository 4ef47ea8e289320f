import type { PaymentInfo, PaymentInput, PaymentStatus } from '#generated/types.ts'
import { type Exact, exactOf, numberOf } from '#http/decimal.ts'
import type { Id } from '#ids.ts'

/**
 * A *payment* is money received. It never goes away: what goes back is a *refund*, taken from what
 * is left of it. Whoever gives back holds the payment's row, so that two refunds at once cannot
 * take the same money.
 */
export interface Payment {
  id: Id<'pay'>
  amount: Exact
  currency: string
  clientId: string | null
  invoiceId: string | null
  method: PaymentInfo['method']
  status: PaymentStatus
  receivedAt: Date
  refundedAmount: Exact
  createdAt: Date
  updatedAt: Date
  revision: number
}

export function newPayment(id: Id<'pay'>, input: PaymentInput, now: Date): Payment {
  return {
    id,
    amount: exactOf(input.amount),
    currency: input.currency,
    clientId: input.clientId ?? null,
    invoiceId: input.invoiceId ?? null,
    method: input.method ?? null,
    status: 'RECEIVED',
    receivedAt: input.receivedAt === undefined ? now : new Date(input.receivedAt),
    refundedAmount: 0n,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

/** What is left of a payment. */
export function restOf({ amount, refundedAmount }: Payment): Exact {
  return amount - refundedAmount
}

/** The payment after `amount`, no more than its rest, went back. */
export function refundPayment(payment: Payment, amount: Exact, now: Date): Payment {
  const refundedAmount = payment.refundedAmount + amount
  const status = refundedAmount < payment.amount ? 'PARTIALLY_REFUNDED' : 'REFUNDED'
  return { ...payment, refundedAmount, status, updatedAt: now, revision: payment.revision + 1 }
}

export function toPayment(payment: Payment): PaymentInfo {
  return {
    id: payment.id,
    amount: numberOf(payment.amount),
    currency: payment.currency,
    clientId: payment.clientId,
    invoiceId: payment.invoiceId,
    method: payment.method,
    status: payment.status,
    receivedAt: payment.receivedAt.toISOString(),
    refundedAmount: numberOf(payment.refundedAmount),
    createdAt: payment.createdAt.toISOString(),
    updatedAt: payment.updatedAt.toISOString(),
    revision: payment.revision,
  }
}
