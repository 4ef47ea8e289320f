import fc from 'fast-check'
import { expect, test } from 'vitest'
import { minorDigitsOf } from '#http/currency.ts'
import {
  decimalText,
  exactOf,
  isExactAsNumber,
  numberOf,
  percentRounded,
  sumOf,
  timesRounded,
} from '#http/decimal.ts'
import { amountMax, requireAmount, requireCurrency, requirePrecision } from '#http/money.ts'
import { Problem } from '#http/problem.ts'

const digits = fc.integer({ min: 0, max: 4 })
const amount = fc.bigInt({ min: 0n, max: exactOf(amountMax) })
const quantity = fc.bigInt({ min: 1n, max: exactOf(1_000_000) })
const percent = fc.bigInt({ min: 0n, max: exactOf(100) })

test.each([
  [0, 0n],
  [-0, 0n],
  [0.0001, 1n],
  [0.1, 1_000n],
  [12.5, 125_000n],
  [999_999_999_999, 9_999_999_999_990_000n],
  [600_000_000_000.01, 6_000_000_000_000_100n],
  ['1299.9000', 12_999_000n],
  ['0.0000', 0n],
])('%s is taken exactly', (written, exact) => {
  expect(exactOf(written)).toBe(exact)
})

test.each([0.00001, 1e-7, 1.23456, 1e21, Number.NaN, Number.POSITIVE_INFINITY, '', '1,5'])(
  '%s is not taken for a number of four decimal places',
  (written) => {
    expect(() => exactOf(written)).toThrow(RangeError)
  },
)

test('a large amount of three decimal places comes back from the wire as it was', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 999_999_999_999_000n }), (thousandths) => {
      const exact = thousandths * 10n
      expect(isExactAsNumber(exact)).toBe(true)
      expect(exactOf(JSON.parse(JSON.stringify(numberOf(exact))))).toBe(exact)
    }),
  )
})

test('any amount comes back from a row as it was', () => {
  fc.assert(
    fc.property(amount, (exact) => {
      expect(exactOf(decimalText(exact))).toBe(exact)
    }),
  )
})

test.each([
  // What floating point makes of the first three: 1.00, 8.32 and 0.11.
  { unit: 1.005, times: 1, digits: 2, rounded: 1.01 },
  { unit: 8.325, times: 1, digits: 2, rounded: 8.33 },
  { unit: 1.15, times: 0.1, digits: 2, rounded: 0.12 },
  { unit: 0.1, times: 3, digits: 2, rounded: 0.3 },
  { unit: 480, times: 2.5, digits: 2, rounded: 1200 },
  { unit: 0.01, times: 0.4999, digits: 2, rounded: 0 },
  { unit: 0.01, times: 0.5, digits: 2, rounded: 0.01 },
  { unit: 5, times: 0.1, digits: 0, rounded: 1 },
  { unit: 4, times: 0.1, digits: 0, rounded: 0 },
  { unit: 0.001, times: 0.5, digits: 3, rounded: 0.001 },
  { unit: 0.0001, times: 0.5, digits: 4, rounded: 0.0001 },
])('$unit × $times is $rounded in $digits digits', ({ unit, times, digits, rounded }) => {
  expect(numberOf(timesRounded(exactOf(unit), exactOf(times), digits))).toBe(rounded)
})

test('a product is rounded to the nearest minor unit, and half of one upwards', () => {
  fc.assert(
    fc.property(amount, quantity, digits, (unit, times, places) => {
      const minorUnit = 10n ** BigInt(4 - places)
      const rounded = timesRounded(unit, times, places)
      expect(rounded % minorUnit).toBe(0n)
      const excess = 2n * (rounded * 10_000n - unit * times)
      expect(excess > -minorUnit * 10_000n && excess <= minorUnit * 10_000n).toBe(true)
    }),
  )
})

test('a percentage is rounded to the nearest minor unit, and half of one upwards', () => {
  fc.assert(
    fc.property(amount, percent, digits, (base, rate, places) => {
      const minorUnit = 10n ** BigInt(4 - places)
      const rounded = percentRounded(base, rate, places)
      expect(rounded % minorUnit).toBe(0n)
      const excess = 2n * (rounded * 1_000_000n - base * rate)
      expect(excess > -minorUnit * 1_000_000n && excess <= minorUnit * 1_000_000n).toBe(true)
    }),
  )
})

test('a sum depends on no order', () => {
  fc.assert(
    fc.property(fc.array(amount), (amounts) => {
      expect(sumOf(amounts.toReversed())).toBe(sumOf(amounts))
    }),
  )
})

test.each([
  ['JPY', 0],
  ['GBP', 2],
  ['HUF', 2],
  ['IDR', 2],
  ['IQD', 3],
  ['KWD', 3],
  ['CLF', 4],
  ['DEM', undefined],
  ['XAU', undefined],
  ['gbp', undefined],
  ['', undefined],
])('%s has the minor digits that ISO 4217 gives it: %s', (currency, expected) => {
  expect(minorDigitsOf(currency)).toBe(expected)
})

test('a currency that does not exist is refused, and where it stands', () => {
  expect(refusalOf(() => requireCurrency('ABC'))).toEqual(['currency_unknown', '/currency'])
})

test.each([
  [1.5, 0, true],
  [100, 0, false],
  [0.01, 2, false],
  [0.001, 2, true],
  [1e-7, 4, true],
])('%s in a currency of %s digits is refused: %s', (value, places, isRefused) => {
  const check = () => requirePrecision(value, places, '/amount')
  if (isRefused) expect(refusalOf(check)).toEqual(['amount_precision', '/amount'])
  else check()
})

test.each([
  [exactOf(amountMax), false],
  [exactOf(amountMax) + 1n, true],
  // 600 billion and some ten-thousandths: numbers lie further apart there than those.
  [6_000_000_000_000_002n, false],
  [6_000_000_000_000_003n, true],
])('%s ten-thousandths are out of range: %s', (exact, isRefused) => {
  const keep = () => requireAmount(exact, '/lines')
  if (isRefused) expect(refusalOf(keep)).toEqual(['amount_out_of_range', '/lines'])
  else expect(exactOf(keep())).toBe(exact)
})

function refusalOf(refused: () => unknown): [code: string, pointer: string | undefined] {
  try {
    refused()
  } catch (error) {
    if (error instanceof Problem) return [error.code, error.errors[0]?.pointer]
    throw error
  }
  throw new Error('was not refused')
}
