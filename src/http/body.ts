import { bodyError } from './field-errors.ts'
import { type Problem, problem } from './problem.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** No body of the contract comes near; what does would only cost us time. */
const depthMax = 64

/** The escape of a NUL, and not a backslash followed by `u0000`. */
const writtenNul = /(?<!\\)(?:\\\\)*\\u0000/

/** Parses a JSON body from its raw bytes; throws `malformed_json` that says what is wrong. */
export function parseJson(raw: Buffer): unknown {
  const text = decode(raw)
  if (isTooDeep(raw)) {
    const message = `must not be nested deeper than ${depthMax} levels`
    throw problem('invalid_request', { errors: [bodyError([], 'too_deep', message)] })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'not JSON'
    throw problem('malformed_json', { detail: `The body is not JSON: ${reason}.`, cause })
  }
  // Postgres keeps no NUL in text, so it is refused where it can still be named.
  if (writtenNul.test(text)) refuseNul(value)
  return value
}

/** Looks at brackets outside strings only: a fraction of what parsing would cost. */
function isTooDeep(raw: Buffer): boolean {
  let depth = 0
  let isInString = false
  for (let at = 0; at < raw.length; at += 1) {
    const byte = raw[at]
    if (isInString) {
      if (byte === 0x5c) at += 1
      else if (byte === 0x22) isInString = false
    } else if (byte === 0x22) isInString = true
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1
      if (depth > depthMax) return true
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1
  }
  return false
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
