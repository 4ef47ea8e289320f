import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import type { ValidateFunction } from 'ajv/dist/2020.js'
import { bodyError, type FieldError, fieldErrorsOf } from '#http/field-errors.ts'

/*
 * Schemas of tenants. They are taken from a part of JSON Schema in which holding data against a schema
 * takes time by the size of both and no more: no patterns, no references, no `uniqueItems`. So they can
 * be compiled and run here, where everybody waits.
 */

export type JsonObject = Readonly<Record<string, unknown>>

const bytesMax = 16 * 1024
const schemasMax = 200
const depthMax = 8

/** What only people read. */
const annotations = ['title', 'description', 'examples', 'default', 'deprecated', '$comment']
const assertions = [
  ...['type', 'properties', 'required', 'additionalProperties', 'items', 'anyOf', 'enum', 'const'],
  ...['minLength', 'maxLength', 'minItems', 'maxItems'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
]
const known = new Set([...annotations, ...assertions])

/** What is wrong with a schema of `data`, at its place in the body; nothing when it can be used. */
export function judgeSchema(schema: JsonObject): FieldError[] {
  const tell = (code: string, message: string) => [bodyError(['schema'], code, message)]
  if (Buffer.byteLength(JSON.stringify(schema)) > bytesMax) return tell('too_large', 'is too large')
  if (schema.type !== 'object') return tell('not_an_object', 'must have the type object')
  const errors = judgeWithin(schema, ['schema'], 1, { schemas: 0 })
  if (errors.length > 0) return errors
  try {
    compiled(JSON.stringify(schema))
    return []
  } catch (error) {
    return tell('unusable', `cannot be used: ${error instanceof Error ? error.message : error}`)
  }
}

function judgeWithin(
  schema: unknown,
  steps: readonly string[],
  depth: number,
  whole: { schemas: number },
): FieldError[] {
  whole.schemas += 1
  if (!isObject(schema)) return [bodyError(steps, 'not_a_schema', 'must be a schema')]
  if (depth > depthMax) return [bodyError(steps, 'too_deep', `is more than ${depthMax} deep`)]
  if (whole.schemas > schemasMax) {
    return [bodyError(['schema'], 'too_many_schemas', `has more than ${schemasMax} schemas`)]
  }
  const stray = Object.keys(schema).find((keyword) => !known.has(keyword))
  if (stray !== undefined) {
    return [bodyError([...steps, stray], 'unknown_keyword', 'is not a keyword that we take')]
  }
  for (const { inner, step } of within(schema)) {
    const errors = judgeWithin(inner, [...steps, ...step], depth + 1, whole)
    if (errors.length > 0) return errors
  }
  return []
}

function within(schema: JsonObject): { inner: unknown; step: string[] }[] {
  const { properties, items, additionalProperties: others, anyOf } = schema
  return [
    ...Object.entries(isObject(properties) ? properties : {}).map(([name, inner]) => {
      return { inner, step: ['properties', name] }
    }),
    ...(items === undefined ? [] : [{ inner: items, step: ['items'] }]),
    ...(isObject(others) ? [{ inner: others, step: ['additionalProperties'] }] : []),
    ...(Array.isArray(anyOf) ? anyOf : []).map((inner: unknown, at) => {
      return { inner, step: ['anyOf', String(at)] }
    }),
  ]
}

/**
 * The first place where a schema says something else than before: it may gain properties and require
 * more of them, and be described otherwise. Undefined when readers go on to understand.
 */
export function breakIn(
  before: unknown,
  after: unknown,
  steps: readonly string[] = [],
): readonly string[] | undefined {
  if (!isObject(before) || !isObject(after)) {
    return isDeepStrictEqual(before, after) ? undefined : steps
  }
  const [earlier, later] = [partsOf(before), partsOf(after)]
  if (!isDeepStrictEqual(earlier.others, later.others)) return steps
  if (earlier.required.some((name) => !later.required.includes(name))) return [...steps, 'required']
  for (const [name, inner] of Object.entries(earlier.properties)) {
    const next = Object.hasOwn(later.properties, name) ? later.properties[name] : undefined
    const found = breakIn(inner, next, [...steps, 'properties', name])
    if (found !== undefined) return found
  }
  return breakIn(earlier.items, later.items, [...steps, 'items'])
}

function partsOf({ properties, required, items, ...rest }: JsonObject) {
  return {
    properties: isObject(properties) ? properties : {},
    required: Array.isArray(required) ? (required as unknown[]) : [],
    items,
    others: Object.fromEntries(
      Object.entries(rest).filter(([keyword]) => !annotations.includes(keyword)),
    ),
  }
}

/** What is wrong with data by its schema, as JSON; `name` is its field in the body. */
export function misfitsOf(schema: string, data: unknown, name: string): FieldError[] {
  const validate = compiled(schema)
  if (validate(data)) return []
  return fieldErrorsOf('body', validate.errors ?? []).map((error) => {
    return { ...error, pointer: `/${name}${error.pointer ?? ''}` }
  })
}

/** Loaded when first needed: few installations do, and all of them start. */
const require = createRequire(import.meta.url)
const compiler = (): typeof import('ajv/dist/2020.js') => require('ajv/dist/2020.js')

/** Names that every object inherits are data like any other. */
const options = { strict: true, allowUnionTypes: true, ownProperties: true } as const

/** Compiled schemas that are kept, by their text. */
const keptMax = 100
const kept = new Map<string, ValidateFunction>()

function compiled(schema: string): ValidateFunction {
  const before = kept.get(schema)
  if (before !== undefined) return before
  // One that is used once: ajv itself would keep what it has compiled for ever.
  const { Ajv2020 } = compiler()
  const ajv = new Ajv2020({ ...options, logger: false })
  const validate = ajv.compile(JSON.parse(schema))
  if (kept.size >= keptMax) kept.clear()
  kept.set(schema, validate)
  return validate
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
