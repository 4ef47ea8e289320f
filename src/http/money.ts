import { minorDigitsOf } from './currency.ts'
import { type Exact, exactOf, isExactAsNumber, numberOf } from './decimal.ts'
import { problem } from './problem.ts'

/** The largest amount of the contract, in major units. */
export const amountMax = 999_999_999_999

/** The currency's minor digits; throws `currency_unknown` for one that does not exist. */
export function requireCurrency(currency: string, pointer = '/currency'): number {
  const digits = minorDigitsOf(currency)
  if (digits !== undefined) return digits
  throw problem('currency_unknown', {
    detail: `${currency} is not a currency of ISO 4217.`,
    errors: [{ pointer, code: 'unknown', message: 'must be a code of ISO 4217' }],
  })
}

/** Throws `amount_precision` for an amount with more decimal places than its currency has. */
export function requirePrecision(amount: number, digits: number, pointer: string): void {
  if (decimalsOf(amount) <= digits) return
  const message = digits === 0 ? 'must be whole' : `must have at most ${digits} decimal places`
  throw problem('amount_precision', {
    detail: `${pointer} ${message} in its currency.`,
    errors: [{ pointer, code: 'amount_precision', message }],
  })
}

/**
 * What was computed, as the number that goes on the wire and into the row.
 * Throws `amount_out_of_range` for more than the contract allows or a number can hold exactly.
 */
export function requireAmount(exact: Exact, pointer: string): number {
  if (exact <= exactOf(amountMax) && isExactAsNumber(exact)) return numberOf(exact)
  const message = `must come to an amount that we can keep exactly, ${amountMax} at most`
  throw problem('amount_out_of_range', { errors: [{ pointer, code: 'out_of_range', message }] })
}

/** The decimal places of the shortest text that means this number. */
function decimalsOf(amount: number): number {
  const [mantissa = '', exponent = '0'] = String(amount).split('e')
  const written = mantissa.split('.')[1]?.length ?? 0
  return Math.max(0, written - Number(exponent))
}
