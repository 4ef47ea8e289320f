import { isDeepStrictEqual } from 'node:util'
import { bodyError, type FieldError } from '#http/field-errors.ts'
import type { TenantId } from '#ids.ts'
import { isObjectOrList, obstacleOf } from './misfits.ts'

/*
 * Schemas of tenants. They are taken from a part of JSON Schema in which holding data against a schema
 * takes time by the size of both and no more: no patterns, no references, no `uniqueItems`; and how
 * much may be asked of one value is bounded. So they can be compiled and run here, where everybody
 * waits.
 */

export type JsonObject = Readonly<Record<string, unknown>>

const bytesMax = 16 * 1024
const schemasMax = 200
const depthMax = 8

const branchesMax = 10

/** What may be asked of one value: each length counts all of it, each schema may make an error. */
const questionsMax = 50

/** What only people read. */
const annotations = ['title', 'description', 'examples', 'default', 'deprecated', '$comment']
const assertions = [
  ...['type', 'properties', 'required', 'additionalProperties', 'items', 'anyOf', 'enum', 'const'],
  ...['minLength', 'maxLength', 'minItems', 'maxItems'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
]
const known = new Set([...annotations, ...assertions])

/** What is wrong with a schema of `data`, at its place in the body; nothing when it can be used. */
export function judgeSchema(tenantId: TenantId, schema: JsonObject): FieldError[] {
  const text = JSON.stringify(schema)
  const tell = (code: string, message: string) => [bodyError(['schema'], code, message)]
  if (Buffer.byteLength(text) > bytesMax) return tell('too_large', 'is too large')
  if (schema.type !== 'object') return tell('not_an_object', 'must have the type object')
  const errors = judgeWithin(schema, ['schema'], 1, { schemas: 0 })
  if (errors.length > 0) return errors
  const obstacle = obstacleOf(tenantId, text)
  return obstacle === undefined ? [] : tell('unusable', `cannot be used: ${obstacle}`)
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
  if (listIn(schema, 'anyOf').length > branchesMax) {
    return [bodyError([...steps, 'anyOf'], 'too_long', `must have at most ${branchesMax} items`)]
  }
  for (const { inner, step } of within(schema)) {
    const errors = judgeWithin(inner, [...steps, ...step], depth + 1, whole)
    if (errors.length > 0) return errors
  }
  if (Math.max(...questionsOf(schema)) <= questionsMax) return []
  const message = `asks more than ${questionsMax} questions of one value`
  return [bodyError(steps, 'too_many_questions', message)]
}

function within(schema: JsonObject): { inner: unknown; step: string[] }[] {
  const { properties, items, additionalProperties: others } = schema
  return [
    ...Object.entries(isObject(properties) ? properties : {}).map(([name, inner]) => {
      return { inner, step: ['properties', name] }
    }),
    ...(items === undefined ? [] : [{ inner: items, step: ['items'] }]),
    ...(isObject(others) ? [{ inner: others, step: ['additionalProperties'] }] : []),
    ...listIn(schema, 'anyOf').map((inner, at) => ({ inner, step: ['anyOf', String(at)] })),
  ]
}

function listIn(schema: JsonObject, keyword: string): readonly unknown[] {
  const list = schema[keyword]
  return Array.isArray(list) ? list : []
}

/**
 * How much is asked of a value at most, and of one at each level within it. A schema without references
 * is a tree, and meets a value once: of what it says of fields and items, one is about a value, and
 * only the branches of a choice all are.
 */
function questionsOf(schema: unknown): number[] {
  if (!isObject(schema)) return []
  const branches: number[][] = []
  const places: number[][] = [[ownQuestionsOf(schema)]]
  for (const { inner, step } of within(schema)) {
    if (step[0] === 'anyOf') branches.push(questionsOf(inner))
    else places.push([0, ...questionsOf(inner)])
  }
  const levels = Math.max(...[...branches, ...places].map(({ length }) => length))
  return Array.from({ length: levels }, (_, level) => {
    const one = Math.max(...places.map((questions) => questions[level] ?? 0))
    return branches.reduce((sum, questions) => sum + (questions[level] ?? 0), one)
  })
}

/** Of what kind it is, each length, and each entry that is compared as a whole. */
function ownQuestionsOf(schema: JsonObject): number {
  const lengths = ['minLength', 'maxLength'].filter((keyword) => Object.hasOwn(schema, keyword))
  const others = listIn(schema, 'enum').filter(isObjectOrList)
  return 1 + lengths.length + others.length
}

/** What a schema says to programs: all but what only people read. */
export function meaningOf(schema: unknown): unknown {
  if (!isObject(schema)) return schema
  const said = Object.entries(schema).filter(([keyword]) => !annotations.includes(keyword))
  return Object.fromEntries(
    said.map(([keyword, value]) => [keyword, meaningWithin(keyword, value)]),
  )
}

function meaningWithin(keyword: string, value: unknown): unknown {
  switch (keyword) {
    case 'properties': {
      if (!isObject(value)) return value
      const inner = Object.entries(value).map(([name, schema]) => [name, meaningOf(schema)])
      return Object.fromEntries(inner)
    }
    case 'items':
    case 'additionalProperties':
      return meaningOf(value)
    case 'anyOf':
      return Array.isArray(value) ? value.map(meaningOf) : value
    default:
      return value
  }
}

/**
 * The first place where the meaning of a schema is another than before: it may gain properties and
 * require more of them. Undefined when readers go on to understand.
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

function partsOf({ properties, required, items, ...others }: JsonObject) {
  return {
    properties: isObject(properties) ? properties : {},
    required: Array.isArray(required) ? (required as unknown[]) : [],
    items,
    others,
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
