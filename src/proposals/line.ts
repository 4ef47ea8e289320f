import type { LineInfo, LineInput, Totals } from '#generated/types.ts'
import { exactOf, percentRounded, sumOf, timesRounded } from '#http/decimal.ts'
import { requireAmount, requireCurrency, requirePrecision } from '#http/money.ts'

/** The lines with their amounts, and what they add up to. */
export interface Pricing {
  lines: LineInfo[]
  totals: Totals
}

/**
 * Prices lines. Each line's amount is rounded half up to the currency's minor digits, each line's
 * tax is taken from that and rounded likewise, and totals are sums of what was rounded: so people
 * who add up the lines that they see come to the total that they see.
 * Throws `currency_unknown`, `amount_precision` and `amount_out_of_range`, with pointers.
 */
export function priceLines(inputs: readonly LineInput[], currency: string): Pricing {
  const digits = requireCurrency(currency)
  const priced = inputs.map((input, at) => priceLine(input, digits, `/lines/${at}`))
  const subtotal = sumOf(priced.map(({ amount }) => amount))
  const tax = sumOf(priced.map((line) => line.tax))
  return {
    lines: priced.map(({ line }) => line),
    totals: {
      subtotal: requireAmount(subtotal, '/lines'),
      tax: requireAmount(tax, '/lines'),
      total: requireAmount(subtotal + tax, '/lines'),
    },
  }
}

function priceLine(input: LineInput, digits: number, pointer: string) {
  const { description, quantity, unitAmount, taxRate = 0 } = input
  requirePrecision(unitAmount, digits, `${pointer}/unitAmount`)
  const amount = timesRounded(exactOf(unitAmount), exactOf(quantity), digits)
  const tax = percentRounded(amount, exactOf(taxRate), digits)
  const shown = requireAmount(amount, pointer)
  return { line: { description, quantity, unitAmount, taxRate, amount: shown }, amount, tax }
}

/** A line as the caller gave it, its amount left to be computed anew. */
export function toLineInput({ amount: _, ...input }: LineInfo): LineInput {
  return input
}

/** A line as the contract has it; rows do not keep the order of its fields. */
export function toLine(line: LineInfo): LineInfo {
  return {
    description: line.description,
    quantity: line.quantity,
    unitAmount: line.unitAmount,
    taxRate: line.taxRate,
    amount: line.amount,
  }
}
