// What the generated validators call: copied to generated/validators/ as it is.
import equalModule from 'ajv/dist/runtime/equal.js'
import ucs2lengthModule from 'ajv/dist/runtime/ucs2length.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'

export const equal = equalModule.default
export const ucs2length = ucs2lengthModule.default
export const hasOwn = Object.prototype.hasOwnProperty

/**
 * Whether a number is a multiple of a whole number or of a power of ten. Of the latter it is when it
 * can be written with so many decimal places; division would answer from rounding errors.
 */
export function isMultipleOf(value, step) {
  if (step >= 1) return value % step === 0
  return Number(value.toFixed(Math.round(-Math.log10(step)))) === value
}

const time =
  /^(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,12})?(?:z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i

/**
 * RFC 3339 to the letter: a `T`, seconds, and `Z` or an offset with its colon. A leap second is
 * refused, because neither a JavaScript date nor a row can hold it.
 */
function isDateTime(text) {
  const separator = text.charAt(10)
  if (separator !== 'T' && separator !== 't') return false
  return fullFormats.date.validate(text.slice(0, 10)) && time.test(text.slice(11))
}

const isInt32 = (value) => Number.isInteger(value) && Math.abs(value) <= 2147483648 - +(value > 0)

/** By name; `int64` ends where a JSON number read by JavaScript stops being exact. */
export const formats = {
  date: fullFormats.date,
  'date-time': isDateTime,
  email: fullFormats.email,
  uri: fullFormats.uri,
  uuid: /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i,
  int32: { type: 'number', validate: isInt32 },
  int64: { type: 'number', validate: Number.isSafeInteger },
  double: { type: 'number', validate: Number.isFinite },
}
