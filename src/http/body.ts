import { bodyError } from './field-errors.ts'
import { countMembers, findRepeatedName, measure } from './json.ts'
import { type Problem, problem } from './problem.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** No body of the contract comes near; what does would only cost us time. */
const depthMax = 64

/** So many values are parsed in milliseconds; a mebibyte of them keeps everybody else waiting. */
const valuesMax = 10_000

/** The escape of a NUL, and not a backslash followed by `u0000`. */
const writtenNul = /(?<!\\)(?:\\\\)*\\u0000/

/**
 * Parses a JSON body from its raw bytes. Throws `malformed_json`, or `invalid_request` for what is
 * JSON but means nothing safe: nested too deep, too many values, a name given twice, a NUL.
 */
export function parseJson(raw: Buffer): unknown {
  const text = decode(raw)
  const { depth, members, commas } = measure(raw)
  if (depth > depthMax) {
    const message = `must not be nested deeper than ${depthMax} levels`
    throw problem('invalid_request', { errors: [bodyError([], 'too_deep', message)] })
  }
  if (commas >= valuesMax) {
    const message = `must not have more than ${valuesMax} values`
    throw problem('invalid_request', { errors: [bodyError([], 'too_long', message)] })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'not JSON'
    throw problem('malformed_json', { detail: `The body is not JSON: ${reason}.`, cause })
  }
  // JSON.parse keeps the last of equal names, where others keep the first: neither was meant.
  if (members !== countMembers(value)) throw repeated(text)
  // Postgres keeps no NUL in text, so it is refused where it can still be named.
  if (text.includes('\\u0000') && writtenNul.test(text)) refuseNul(value)
  return value
}

function repeated(text: string): Problem {
  const error = bodyError(findRepeatedName(text) ?? [], 'repeated', 'is given more than once')
  return problem('invalid_request', { errors: [error] })
}

function decode(raw: Buffer): string {
  try {
    return utf8.decode(raw)
  } catch (cause) {
    throw problem('malformed_json', { detail: 'The body is not UTF-8.', cause })
  }
}

/** Walks with a list of its own: a body may be nested deeper than the stack of calls is. */
function refuseNul(body: unknown): void {
  const open: { value: unknown; above: Step | undefined }[] = [{ value: body, above: undefined }]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { value, above } = at
    if (typeof value === 'string' && value.includes('\0')) throw nulAt(above)
    if (typeof value !== 'object' || value === null) continue
    for (const [name, member] of Object.entries(value)) {
      const step = { name, above }
      if (name.includes('\0')) throw nulAt(step)
      open.push({ value: member, above: step })
    }
  }
}

/** The way to a value, from its end. */
interface Step {
  name: string
  above: Step | undefined
}

function nulAt(end: Step | undefined): Problem {
  const names: string[] = []
  for (let step = end; step !== undefined; step = step.above) names.push(step.name)
  const error = bodyError(names.reverse(), 'nul_character', 'must not contain a NUL character')
  return problem('invalid_request', { errors: [error] })
}
