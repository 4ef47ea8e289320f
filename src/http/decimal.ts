/*
 * Exact arithmetic on amounts, quantities and rates. On the wire they are JSON numbers of at most
 * four decimal places, in rows numeric(19,4); what is computed counts their ten-thousandths in a
 * bigint, because a product of JavaScript numbers may already be a cent off before it is rounded.
 */

/** As many decimal places as any amount, quantity or rate has. */
export const decimalsMax = 4
const one = 10n ** BigInt(decimalsMax)

/** The ten-thousandths of a number; throws a RangeError on one with more than four decimal places. */
export function exactOf(value: number): bigint {
  // The shortest text that means this number is the one that the caller or the row wrote.
  const [whole = '', fraction = ''] = String(value).split('.')
  if (!/^-?\d+$/.test(whole) || fraction.length > decimalsMax) {
    throw new RangeError(`${value} has more than ${decimalsMax} decimal places`)
  }
  return BigInt(whole + fraction.padEnd(decimalsMax, '0'))
}

/** The number that `exact` ten-thousandths are; from zero up. */
export function numberOf(exact: bigint): number {
  const fraction = String(exact % one).padStart(decimalsMax, '0')
  return Number(`${exact / one}.${fraction}`)
}

/** Whether a JSON number, read by JavaScript, still means these ten-thousandths. */
export function isExactAsNumber(exact: bigint): boolean {
  return exactOf(numberOf(exact)) === exact
}

/** `amount` times `quantity`, rounded half up to `digits` decimal places. */
export function timesRounded(amount: bigint, quantity: bigint, digits: number): bigint {
  return roundHalfUp(amount * quantity, 2 * decimalsMax, digits)
}

/** `percent` percent of `amount`, rounded half up to `digits` decimal places. */
export function percentRounded(amount: bigint, percent: bigint, digits: number): bigint {
  return roundHalfUp(amount * percent, 2 * decimalsMax + 2, digits)
}

export function sumOf(amounts: readonly bigint[]): bigint {
  return amounts.reduce((sum, amount) => sum + amount, 0n)
}

/** Rounds what has `decimals` places to `digits`, and gives it back in ten-thousandths. */
function roundHalfUp(value: bigint, decimals: number, digits: number): bigint {
  const step = 10n ** BigInt(decimals - digits)
  const minorUnits = (2n * value + step) / (2n * step)
  return minorUnits * 10n ** BigInt(decimalsMax - digits)
}
