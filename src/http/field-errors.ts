import type { ErrorObject } from 'ajv'

/** One thing that is wrong with a request, and where: in the body, a parameter or a header. */
export interface FieldError {
  /** Into the body, RFC 6901; empty for the body as a whole. */
  pointer?: string
  parameter?: string
  header?: string
  code: string
  /** Reads on from the field's name: `must be a string`. */
  message: string
}

export type Place = 'path' | 'query' | 'header' | 'body'

/** What a validator found, as the caller is told. */
export function fieldErrorsOf(place: Place, errors: readonly ErrorObject[]): FieldError[] {
  const error = mostTelling(errors)
  if (error === undefined) return [fieldError(place, [], 'invalid', 'does not fit the contract')]
  const { code, message, below } = explain(error)
  const steps = [...stepsOf(error.instancePath), ...below]
  return [fieldError(place, steps, code, message)]
}

export function parameterError(
  place: 'path' | 'query' | 'header',
  name: string,
  code: string,
  message: string,
): FieldError {
  const label = name.slice(0, 200)
  const said = { code, message: message.slice(0, 500) }
  return place === 'header' ? { header: label, ...said } : { parameter: label, ...said }
}

function fieldError(
  place: Place,
  steps: readonly string[],
  code: string,
  text: string,
): FieldError {
  if (place === 'body') return bodyError(steps, code, text)
  const [name = '', item] = steps
  return parameterError(place, name, code, item === undefined ? text : `item ${item} ${text}`)
}

/** An error at the end of `steps` into the body. */
export function bodyError(steps: readonly string[], code: string, message: string): FieldError {
  const pointer = steps.map((step) => `/${escapeStep(step)}`).join('')
  return { pointer: pointer.slice(0, 500), code, message: message.slice(0, 500) }
}

const escapeStep = (step: string): string => step.replaceAll('~', '~0').replaceAll('/', '~1')

function stepsOf(pointer: string): string[] {
  const [, ...steps] = pointer.split('/')
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Keywords that only report that something inside them failed. */
const wrappers = new Set(['anyOf', 'oneOf', 'if', 'propertyNames'])

/**
 * A validator stops at the first error, but a choice reports each branch and then itself. Of those
 * we tell the one that went deepest into the value: the branch that was probably meant.
 */
function mostTelling(errors: readonly ErrorObject[]): ErrorObject | undefined {
  const inner = errors.filter(({ keyword }) => !wrappers.has(keyword))
  const [first, ...others] = inner.filter((error) => !isAboutNull(error))
  if (first === undefined) return inner.at(-1) ?? errors.at(-1)
  const outer = errors.at(-1)
  const isChoice = outer?.keyword === 'anyOf' || outer?.keyword === 'oneOf'
  if (!isChoice || others.length === 0) return first
  return others.reduce((best, error) => (tells(error) > tells(best) ? error : best), first)
}

const isAboutNull = ({ keyword, params }: ErrorObject): boolean =>
  keyword === 'type' && params.type === 'null'

/** A branch whose fields are not all there says less than one that has them, and one too many. */
const tells = ({ instancePath, keyword }: ErrorObject): number =>
  3 * stepsOf(instancePath).length + (keyword === 'type' ? 0 : keyword === 'required' ? 1 : 2)

interface Explanation {
  code: string
  message: string
  /** The steps from the instance to the field meant: a missing or unknown property's name. */
  below: string[]
}

function explain(error: ErrorObject): Explanation {
  const { keyword, params, propertyName } = error
  if (propertyName !== undefined) {
    const { message } = explain({ ...error, propertyName: undefined } as unknown as ErrorObject)
    return { code: 'invalid_name', message: `is a name that ${message}`, below: [propertyName] }
  }
  switch (keyword) {
    case 'required':
    case 'dependentRequired':
      return { code: 'required', message: 'is required', below: [params.missingProperty] }
    case 'additionalProperties': {
      const below = [params.additionalProperty]
      return { code: 'unknown_field', message: 'is not a field that is known here', below }
    }
    default:
      return { ...explainValue(keyword, params), below: [] }
  }
}

type Params = ErrorObject['params']

/** What is wrong with the value itself, by the keyword that refused it. */
function explainValue(keyword: string, params: Params): Omit<Explanation, 'below'> {
  switch (keyword) {
    case 'type':
      return { code: 'wrong_type', message: `must be ${typeNames(params.type)}` }
    case 'enum':
      return { code: 'not_in_enum', message: `must be one of ${listed(params.allowedValues)}` }
    case 'const':
      return { code: 'not_in_enum', message: `must be ${listed([params.allowedValue])}` }
    case 'minLength':
    case 'minItems':
    case 'minProperties':
      return { code: 'too_short', message: atLeast(keyword, params.limit) }
    case 'maxLength':
    case 'maxItems':
    case 'maxProperties':
      return { code: 'too_long', message: `must have at most ${count(keyword, params.limit)}` }
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return { code: 'out_of_range', message: `must be ${bounds[keyword]} ${params.limit}` }
    case 'multipleOf':
      return { code: 'precision', message: precision(params.multipleOf) }
    case 'uniqueItems':
      return { code: 'repeated', message: `must not repeat item ${params.j} as item ${params.i}` }
    case 'pattern':
      return { code: 'pattern', message: patternMessage(params.pattern) }
    case 'format':
      return formats[params.format] ?? { code: 'format', message: `must be a ${params.format}` }
    case 'not':
      return { code: 'forbidden', message: 'must not be this' }
    default:
      return { code: 'invalid', message: 'does not fit the contract' }
  }
}

const bounds = {
  minimum: 'at least',
  maximum: 'at most',
  exclusiveMinimum: 'more than',
  exclusiveMaximum: 'less than',
}

const formats: Record<string, { code: string; message: string }> = {
  'date-time': {
    code: 'format',
    message: 'must be a date and time by RFC 3339, such as 2026-01-31T12:00:00Z',
  },
  date: { code: 'format', message: 'must be a date, such as 2026-01-31' },
  email: { code: 'format', message: 'must be an e-mail address' },
  uri: { code: 'format', message: 'must be a URL, with its scheme' },
  uuid: { code: 'format', message: 'must be a UUID' },
  int32: { code: 'out_of_range', message: 'must be a whole number of 32 bits' },
  int64: { code: 'out_of_range', message: 'must be a whole number below 2^53' },
}

const typeWords: Record<string, string> = {
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  null: 'null',
}

function typeNames(type: string | readonly string[]): string {
  const names = typeof type === 'string' ? type.split(',') : type
  return names.map((name) => typeWords[name] ?? name).join(' or ')
}

/** Values as the caller would write them; a long list is cut. */
function listed(values: readonly unknown[]): string {
  const texts = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
  const [shown, rest] = [texts.slice(0, 20), texts.length - 20]
  return `${shown.join(', ')}${rest > 0 ? ` or ${rest} others` : ''}`
}

const nouns: Record<string, [one: string, many: string]> = {
  Length: ['character', 'characters'],
  Items: ['item', 'items'],
  Properties: ['field', 'fields'],
}

function count(keyword: string, limit: number): string {
  const [one, many] = nouns[keyword.slice(3)] ?? ['', '']
  return `${limit} ${limit === 1 ? one : many}`
}

function atLeast(keyword: string, limit: number): string {
  return limit === 1 ? 'must not be empty' : `must have at least ${count(keyword, limit)}`
}

function precision(step: number): string {
  const places = Math.round(-Math.log10(step))
  if (10 ** -places !== step || places < 0) return `must be a multiple of ${step}`
  if (places === 0) return 'must be a whole number'
  return `must have at most ${places} decimal place${places === 1 ? '' : 's'}`
}

/** What patterns of the contract mean, in words; of a pattern that is not here, itself. */
const patternWords: readonly [pattern: RegExp, words: (match: RegExpExecArray) => string][] = [
  [/^\^\[\^\\u0000[^\]]*\][*+]\$$/, () => 'must not contain control characters'],
  [/^\^([a-z]{3})_\[0-6\]/, ([, prefix]) => `must be an id that begins with ${prefix}_`],
  [/^\^\(19\|20\|21\).*T/, () => 'must be a moment in UTC, such as 2026-01-31T12:00:00Z'],
  [/^\^\(19\|20\|21\)/, () => 'must be a date, such as 2026-01-31'],
  [/^\^\(\\\*\|\(W\/\)\?"/, () => 'must be an ETag in quotes, such as "1", or several, or *'],
  [/^\^https\?:/, () => 'must be a URL that begins with https://, or http://'],
  [/^\^\[A-Z\]\{(\d)\}\$$/, ([, count]) => `must be ${count} capital letters`],
]

function patternMessage(pattern: string): string {
  for (const [known, words] of patternWords) {
    const match = known.exec(pattern)
    if (match) return words(match)
  }
  return `must match ${pattern}`
}
