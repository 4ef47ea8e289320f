import fc from 'fast-check'
import { expect, test } from 'vitest'
import { exactOf, numberOf } from '#http/decimal.ts'
import { newPayment, type Payment, refundPayment, restOf, toPayment } from '#payments/payment.ts'
import { judgeRefund, newRefund, toRefund } from '#payments/refund.ts'

const now = new Date('2026-02-04T10:04:00Z')
const later = new Date('2026-02-04T10:05:00Z')

function payment(amount: number, ...refunds: number[]): Payment {
  const received = newPayment('pay_1', { amount, currency: 'USD' }, now)
  return refunds.reduce((rest, part) => refundPayment(rest, exactOf(part), later), received)
}

test('an amount and a currency make a payment, received now', () => {
  expect(toPayment(payment(100))).toEqual({
    id: 'pay_1',
    amount: 100,
    currency: 'USD',
    clientId: null,
    invoiceId: null,
    method: null,
    status: 'RECEIVED',
    receivedAt: '2026-02-04T10:04:00.000Z',
    refundedAmount: 0,
    createdAt: '2026-02-04T10:04:00.000Z',
    updatedAt: '2026-02-04T10:04:00.000Z',
    revision: 1,
  })
})

test('a payment keeps when it came, also when it is recorded later', () => {
  const input = { amount: 1, currency: 'USD', receivedAt: '2026-02-01T00:00:00Z' }
  expect(newPayment('pay_1', input, now).receivedAt).toEqual(new Date('2026-02-01'))
})

test.each([
  { amount: 100, refunds: [], status: 'RECEIVED', rest: 100 },
  { amount: 100, refunds: [25], status: 'PARTIALLY_REFUNDED', rest: 75 },
  { amount: 100, refunds: [25, 74.99], status: 'PARTIALLY_REFUNDED', rest: 0.01 },
  { amount: 100, refunds: [25, 75], status: 'REFUNDED', rest: 0 },
  { amount: 0.3, refunds: [0.1, 0.2], status: 'REFUNDED', rest: 0 },
])('of $amount after $refunds, $rest is left: $status', ({ amount, refunds, status, rest }) => {
  const left = payment(amount, ...refunds)
  expect(left).toMatchObject({ status, revision: 1 + refunds.length })
  expect(numberOf(restOf(left))).toBe(rest)
})

test.each([
  { refunds: [], wanted: undefined, verdict: 100 },
  { refunds: [], wanted: 100, verdict: 100 },
  { refunds: [], wanted: 25, verdict: 25 },
  { refunds: [], wanted: 100.01, verdict: 'amount_exceeds_rest' },
  { refunds: [25], wanted: undefined, verdict: 75 },
  { refunds: [25], wanted: 75.01, verdict: 'amount_exceeds_rest' },
  { refunds: [100], wanted: undefined, verdict: 'invalid_state' },
  { refunds: [100], wanted: 0.01, verdict: 'invalid_state' },
])('after $refunds of 100, asking for $wanted gives $verdict', ({ refunds, wanted, verdict }) => {
  const judged = judgeRefund(payment(100, ...refunds), wanted)
  expect(judged.ok ? numberOf(judged.amount) : judged.code).toBe(verdict)
})

test('one who asks for too much is told what is left', () => {
  const judged = judgeRefund(payment(100, 25), 80)
  expect(judged).toMatchObject({ reason: 'Of the payment, 75 USD is left.' })
})

test('whatever is asked for, never more goes back than came in', () => {
  const cents = fc.integer({ min: 1, max: 100_000_000 }).map((count) => count / 100)
  const wish = fc.option(cents, { nil: undefined })
  fc.assert(
    fc.property(cents, fc.array(wish), (amount, wishes) => {
      let left = payment(amount)
      let given = 0n
      for (const wanted of wishes) {
        const judged = judgeRefund(left, wanted)
        if (!judged.ok) continue
        given += judged.amount
        left = refundPayment(left, judged.amount, later)
      }
      expect(given).toBe(left.refundedAmount)
      expect(given <= left.amount).toBe(true)
      expect(left.status === 'REFUNDED').toBe(given === left.amount)
      expect(left.status === 'RECEIVED').toBe(given === 0n)
    }),
  )
})

test('a refund is in the currency of its payment', () => {
  const refund = newRefund('ref_1', payment(100), { amount: exactOf(25) }, later)
  expect(toRefund(refund)).toEqual({
    id: 'ref_1',
    paymentId: 'pay_1',
    amount: 25,
    currency: 'USD',
    reason: null,
    createdAt: '2026-02-04T10:05:00.000Z',
  })
})
