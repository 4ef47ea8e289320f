/*
 * Exact arithmetic on amounts, quantities and rates. On the wire they are JSON numbers of at most
 * four decimal places, in rows numeric(19,4); what is computed counts their ten-thousandths in a
 * bigint, because a product of JavaScript numbers may already be a cent off before it is rounded.
 */

/** Ten-thousandths of an amount, a quantity or a rate. */
export type Exact = bigint

/** As many decimal places as any of them has. */
export const decimalsMax = 4
const one: Exact = 10n ** BigInt(decimalsMax)

/** From the wire or a row; throws a RangeError on more than four decimal places. */
export function exactOf(value: number | string): Exact {
  // The shortest text that means a number is the one that the caller or the row wrote.
  const [whole = '', fraction = ''] = String(value).split('.')
  if (!/^-?\d+$/.test(whole) || fraction.length > decimalsMax) {
    throw new RangeError(`${value} is not a number of at most ${decimalsMax} decimal places`)
  }
  return BigInt(whole + fraction.padEnd(decimalsMax, '0'))
}

/** For a row; from zero up. */
export function decimalText(exact: Exact): string {
  return `${exact / one}.${String(exact % one).padStart(decimalsMax, '0')}`
}

/** For the wire; from zero up. */
export function numberOf(exact: Exact): number {
  return Number(decimalText(exact))
}

/** Whether a JSON number, read by JavaScript, still means these ten-thousandths. */
export function isExactAsNumber(exact: Exact): boolean {
  return exactOf(numberOf(exact)) === exact
}

/** `amount` times `quantity`, rounded half up to `digits` decimal places. */
export function timesRounded(amount: Exact, quantity: Exact, digits: number): Exact {
  return roundHalfUp(amount * quantity, 2 * decimalsMax, digits)
}

/** `percent` percent of `amount`, rounded half up to `digits` decimal places. */
export function percentRounded(amount: Exact, percent: Exact, digits: number): Exact {
  return roundHalfUp(amount * percent, 2 * decimalsMax + 2, digits)
}

export function sumOf(amounts: readonly Exact[]): Exact {
  return amounts.reduce((sum, amount) => sum + amount, 0n)
}

/** Rounds what has `decimals` places to `digits`, and gives it back in ten-thousandths. */
function roundHalfUp(value: bigint, decimals: number, digits: number): Exact {
  const step = 10n ** BigInt(decimals - digits)
  const minorUnits = (2n * value + step) / (2n * step)
  return minorUnits * 10n ** BigInt(decimalsMax - digits)
}
