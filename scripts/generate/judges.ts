import { isObject, type Json, type JsonObject } from './json.ts'

/*
 * What is wrong with the value of a keyword, in a sentence, or undefined when nothing is.
 */

const formats: readonly string[] = [
  'date',
  'date-time',
  'double',
  'email',
  'int32',
  'int64',
  'uri',
  'uuid',
]

const typeNames = ['string', 'integer', 'number', 'boolean', 'object', 'array', 'null']

export function mustBe(isRight: boolean, what: string): string | undefined {
  return isRight ? undefined : `It must be ${what}.`
}

export function isCount(value: Json): boolean {
  return Number.isInteger(value) && Number(value) >= 0
}

/** What stands beside a reference is lost in the types, so only what people read may. */
export function judgeReference(_value: Json, holder: JsonObject): string | undefined {
  const harmless = ['$ref', 'title', 'description', 'examples', 'default', 'deprecated', '$comment']
  const lost = Object.keys(holder).filter((key) => !harmless.includes(key) && key !== 'x-sensitive')
  return lost.length > 0 ? `It cannot stand beside ${lost.join(', ')}.` : undefined
}

export function judgeType(value: Json): string | undefined {
  if (typeof value === 'string') return mustBe(typeNames.includes(value), typeNames.join(', '))
  const isNullable = Array.isArray(value) && value.length === 2 && value[1] === 'null'
  return mustBe(isNullable && typeNames.includes(String(value[0])), "a type, or [type, 'null']")
}

export function judgeScalars(value: Json): string | undefined {
  const isPlain = Array.isArray(value) && value.every((item) => typeof item !== 'object')
  return mustBe(isPlain && value.length > 0, 'strings, numbers or booleans')
}

export function judgePattern(value: Json): string | undefined {
  try {
    new RegExp(String(value), 'u')
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

export function judgeFormat(value: Json): string | undefined {
  return mustBe(formats.includes(String(value)), `one of ${formats.join(', ')}`)
}

/** Only these can be judged exactly: see `isMultipleOf` in runtime.js. */
export function judgeStep(value: Json): string | undefined {
  const isExact = Number.isInteger(value) || /^(?:0\.0*1|1e-\d+)$/.test(String(value))
  return mustBe(isExact && Number(value) > 0, 'a whole number or a power of ten')
}

export function judgeName(value: Json, holder: JsonObject): string | undefined {
  const name = String(value).toLowerCase()
  const isOurs = ['accept', 'content-type', 'authorization'].includes(name)
  return holder.in === 'header' && isOurs ? 'OpenAPI ignores a parameter of this name.' : undefined
}

export function judgeSecurity(value: Json): string | undefined {
  const [requirement = {}, ...others] = Array.isArray(value) ? value : [value]
  const schemes = isObject(requirement) ? Object.keys(requirement) : ['']
  return mustBe(others.length === 0 && schemes.length <= 1, 'one requirement of one scheme, or []')
}

export function mediaJudge(known: readonly string[]) {
  return (value: Json): string | undefined => {
    const unknown = Object.keys(isObject(value) ? value : {}).find((type) => !known.includes(type))
    return unknown && `The media type ${unknown} is not one of ${known.join(', ')}.`
  }
}

export function judgeDeprecation(value: Json): string | undefined {
  const fields = ['since', 'sunset', 'successor', 'reason']
  const isShaped = isObject(value) && Object.keys(value).every((key) => fields.includes(key))
  const hasDates = isShaped && [value.since, value.sunset].every(isDate)
  return mustBe(hasDates, '{since, sunset, successor?, reason?}, with dates such as 2026-01-31')
}

/** What the audit calls a read that it keeps: a noun, and what was done. */
export function judgeAction(value: Json): string | undefined {
  return mustBe(/^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$/.test(String(value)), 'an action, noun.verb')
}

const isDate = (value: Json | undefined): boolean => /^\d{4}-\d\d-\d\d$/.test(String(value))
