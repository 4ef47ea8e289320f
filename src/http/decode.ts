import type { Parameter } from '#generated/routes.ts'
import { type FieldError, parameterError } from './field-errors.ts'

/*
 * A parameter arrives as text. Here it is taken apart by its style and read by its declared type:
 * strictly, so that `1e3`, ` 1` and `TRUE` are refused instead of guessed at. What a value may be
 * beyond its type is for the validators.
 */

export interface SentParameters {
  /** By parameter name, percent-decoded by the router. */
  path: Readonly<Record<string, string | undefined>>
  /** What follows the `?`, as sent. */
  rawQuery: string
  headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

type Values = Record<string, unknown>

export type DecodedParameters =
  | { ok: true; path: Values; query: Values; headers: Values }
  | { ok: false; errors: FieldError[] }

/** A reply lists at most this many errors. */
const errorsMax = 50

export function decodeParameters(
  parameters: readonly Parameter[],
  sent: SentParameters,
): DecodedParameters {
  const errors: FieldError[] = []
  const places = { path: emptyValues(), query: emptyValues(), headers: emptyValues() }
  const query = splitQuery(sent.rawQuery, parameters, errors)
  for (const parameter of parameters) {
    const values = places[parameter.in === 'header' ? 'headers' : parameter.in]
    try {
      const texts = textsOf(parameter, sent, query)
      const value = texts === undefined ? parameter.default : read(parameter, texts)
      if (value !== undefined) values[parameter.key] = value
      else if (parameter.isRequired) throw new Refusal('required', 'is required')
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal
      errors.push(parameterError(parameter.in, parameter.name, refusal.code, refusal.message))
    }
  }
  return errors.length > 0
    ? { ok: false, errors: errors.slice(0, errorsMax) }
    : { ok: true, ...places }
}

/** Without a prototype, `__proto__` and `constructor` are names like any other. */
function emptyValues(): Values {
  return Object.create(null)
}

class Refusal extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

type Query = Map<string, string[]>

/** The raw values of each known name; unknown names are errors. */
function splitQuery(
  rawQuery: string,
  parameters: readonly Parameter[],
  errors: FieldError[],
): Query {
  const query: Query = new Map()
  if (rawQuery === '') return query
  const known = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name)
  for (const piece of rawQuery.split('&')) {
    if (piece === '') continue
    const equals = piece.indexOf('=')
    const rawName = equals === -1 ? piece : piece.slice(0, equals)
    const name = tryUnescape(rawName)
    if (name !== undefined && known.includes(name)) {
      const values = query.get(name) ?? []
      query.set(name, values)
      values.push(equals === -1 ? '' : piece.slice(equals + 1))
    } else if (errors.length < errorsMax) {
      errors.push(parameterError('query', name ?? rawName, 'unknown_field', unknownName(known)))
    }
  }
  return query
}

function unknownName(known: readonly string[]): string {
  if (known.length === 0) return 'is unknown: this operation has no query parameters'
  return `is not one of the query parameters ${known.join(', ')}`
}

/** The texts of one parameter, taken apart by its style; undefined when it was not sent. */
function textsOf(parameter: Parameter, sent: SentParameters, query: Query): string[] | undefined {
  const isArray = parameter.type === 'array'
  if (parameter.in === 'query') {
    const raw = query.get(parameter.name)
    const pieces = isArray && !parameter.explode ? raw?.flatMap((text) => text.split(',')) : raw
    return pieces?.map(unescapeText)
  }
  const value = parameter.in === 'path' ? sent.path[parameter.name] : sent.headers[parameter.key]
  if (value === undefined) return undefined
  const texts = typeof value === 'string' ? [value] : value
  const pieces = isArray ? texts.flatMap((text) => text.split(',')) : texts
  return pieces.map((text) => refuseNul(parameter.in === 'header' ? text.trim() : text))
}

function read(parameter: Parameter, texts: readonly string[]): unknown {
  if (parameter.type === 'array') {
    return texts.map((text) => readScalar(parameter.items ?? 'string', text))
  }
  const [text = '', ...others] = texts
  if (others.length > 0) throw new Refusal('repeated', 'must be given once only')
  return readScalar(parameter.type, text)
}

function readScalar(type: NonNullable<Parameter['items']>, text: string): unknown {
  switch (type) {
    case 'string':
      return text
    case 'boolean':
      if (text === 'true' || text === 'false') return text === 'true'
      throw new Refusal('wrong_type', 'must be true or false')
    case 'integer':
      if (!/^(?:0|-?[1-9]\d*)$/.test(text)) {
        throw new Refusal('wrong_type', 'must be a whole number in plain digits')
      }
      return exact(Number(text), Number.isSafeInteger)
    case 'number':
      if (!/^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text)) {
        throw new Refusal('wrong_type', 'must be a number in plain digits')
      }
      return exact(Number(text), Number.isFinite)
    default:
      return type satisfies never
  }
}

function exact(value: number, isExact: (value: number) => boolean): number {
  if (!isExact(value)) throw new Refusal('out_of_range', 'is larger than a number can be here')
  return value === 0 ? 0 : value // `-0.0` is zero
}

/** Percent-decoding of a form: `+` is a space; broken escapes and broken UTF-8 are refused. */
function unescapeText(raw: string): string {
  const text = tryUnescape(raw)
  if (text === undefined) throw new Refusal('encoding', 'must be percent-encoded UTF-8')
  return refuseNul(text)
}

function tryUnescape(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

/** Postgres keeps no NUL in text, so it is refused where it can still be named. */
function refuseNul(text: string): string {
  if (text.includes('\0')) throw new Refusal('nul_character', 'must not contain a NUL character')
  return text
}
