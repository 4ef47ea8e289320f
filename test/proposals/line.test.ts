import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LineInput } from '#generated/types.ts'
import { Problem } from '#http/problem.ts'
import { priceLines, toLineInput } from '#proposals/line.ts'

const line = (quantity: number, unitAmount: number, taxRate?: number): LineInput => ({
  description: 'Work',
  quantity,
  unitAmount,
  ...(taxRate === undefined ? {} : { taxRate }),
})

test('the proposal of the documentation comes to what the documentation says', () => {
  const { lines, totals } = priceLines([line(2.5, 480, 20), line(1, 99.9, 20)], 'GBP')
  expect(lines.map(({ amount }) => amount)).toEqual([1200, 99.9])
  expect(totals).toEqual({ subtotal: 1299.9, tax: 259.98, total: 1559.88 })
})

test.each([
  { currency: 'GBP', lines: [line(1, 1)], subtotal: 1, tax: 0, total: 1 },
  // Three lines of 0.335 each: rounded first they are 1.02, rounded last they would be 1.01.
  {
    currency: 'GBP',
    lines: [line(0.5, 0.67), line(0.5, 0.67), line(0.5, 0.67)],
    subtotal: 1.02,
    tax: 0,
    total: 1.02,
  },
  // Tax is taken from the rounded amount: 19 % of 0.13 is 0.0247, of 0.125 it would be 0.02375.
  { currency: 'EUR', lines: [line(0.25, 0.5, 19)], subtotal: 0.13, tax: 0.02, total: 0.15 },
  {
    currency: 'EUR',
    lines: [line(1, 0.5, 7), line(1, 0.5, 7)],
    subtotal: 1,
    tax: 0.08,
    total: 1.08,
  },
  { currency: 'JPY', lines: [line(1.5, 333, 10)], subtotal: 500, tax: 50, total: 550 },
  { currency: 'KWD', lines: [line(3, 0.333, 5)], subtotal: 0.999, tax: 0.05, total: 1.049 },
  { currency: 'CLF', lines: [line(0.5, 0.0001)], subtotal: 0.0001, tax: 0, total: 0.0001 },
  { currency: 'GBP', lines: [line(0.0001, 0.01)], subtotal: 0, tax: 0, total: 0 },
  { currency: 'GBP', lines: [line(1, 0, 20)], subtotal: 0, tax: 0, total: 0 },
])('$lines in $currency come to $total', ({ currency, lines, ...totals }) => {
  expect(priceLines(lines, currency).totals).toEqual(totals)
})

test.each([
  [[line(1, 1)], 'XXX', 'currency_unknown', '/currency'],
  [[line(1, 1), line(1, 1), line(1, 0.001)], 'GBP', 'amount_precision', '/lines/2/unitAmount'],
  [[line(1, 99.9)], 'JPY', 'amount_precision', '/lines/0/unitAmount'],
  [[line(1, 1), line(2, 999_999_999_999)], 'GBP', 'amount_out_of_range', '/lines/1'],
  [[line(1, 6e11), line(1, 6e11)], 'GBP', 'amount_out_of_range', '/lines'],
  [[line(1, 6e11, 100)], 'GBP', 'amount_out_of_range', '/lines'],
])('%j in %s is refused with %s at %s', (lines, currency, code, pointer) => {
  try {
    priceLines(lines, currency)
    expect.unreachable()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    expect([error.code, error.errors[0]?.pointer]).toEqual([code, pointer])
  }
})

test('one hundred of the largest prices that fit are added to the cent', () => {
  const lines = Array.from({ length: 100 }, () => line(1, 9_999_999_999.99))
  expect(priceLines(lines, 'GBP').totals.total).toBe(999_999_999_999)
})

const decimal = (max: number, places: number) =>
  fc.integer({ min: 1, max: max * 10 ** places }).map((count) => count / 10 ** places)
const anyLine = fc.record({
  description: fc.constant('Work'),
  quantity: decimal(1_000, 4),
  unitAmount: decimal(100_000, 2),
  taxRate: decimal(100, 4),
})
const anyLines = fc.array(anyLine, { minLength: 1, maxLength: 100 })

test('whoever adds up the lines comes to the subtotal, and with the tax to the total', () => {
  fc.assert(
    fc.property(anyLines, (inputs) => {
      const { lines, totals } = priceLines(inputs, 'GBP')
      const cents = (amount: number) => Math.round(amount * 100)
      const sum = lines.reduce((total, { amount }) => total + cents(amount), 0)
      expect(cents(totals.subtotal)).toBe(sum)
      expect(cents(totals.total)).toBe(cents(totals.subtotal) + cents(totals.tax))
      for (const { amount } of lines) expect(amount).toBe(cents(amount) / 100)
    }),
  )
})

test('pricing priced lines again changes nothing', () => {
  fc.assert(
    fc.property(anyLines, (inputs) => {
      const once = priceLines(inputs, 'GBP')
      expect(priceLines(once.lines.map(toLineInput), 'GBP')).toEqual(once)
    }),
  )
})
