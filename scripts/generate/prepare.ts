import { asArray, isObject, type Json, type JsonObject } from './json.ts'
import { ledger } from './ledger.ts'
import { tagOf } from './variants.ts'

/**
 * A schema as ajv is to compile it: without what only people read, with references to our ids, and
 * with each choice among tagged variants written out, so that an error speaks of the one meant.
 */
export function prepare(document: JsonObject, schema: Json): Json {
  if (!isObject(schema)) return schema
  const tag = schema.oneOf === undefined ? undefined : tagOf(document, schema)
  const written: JsonObject = {}
  for (const [key, value] of Object.entries(schema)) {
    const { by = [], one, list, map } = ledger.schema[key] ?? {}
    if (!by.includes('validators')) continue
    if (key === '$ref') written.$ref = idOf(String(value))
    else if (one) written[key] = prepare(document, value)
    else if (list) written[key] = asArray(value).map((item) => prepare(document, item))
    else if (map && isObject(value)) {
      const members = Object.entries(value)
      written[key] = Object.fromEntries(members.map(([name, it]) => [name, prepare(document, it)]))
    } else written[key] = value
  }
  if (tag === undefined) return written
  const { oneOf, ...others } = written
  const { property, values } = tag
  const branches = asArray(oneOf).map((branch, index) => {
    const value = values[index] ?? null
    // biome-ignore lint/suspicious/noThenProperty: it is a keyword of JSON Schema
    return { if: { type: 'object', properties: { [property]: { const: value } } }, then: branch }
  })
  return {
    ...others,
    type: 'object',
    required: [property],
    properties: { [property]: { enum: values } },
    allOf: branches,
  }
}

const prefix = 'ubos:'

/** The id under which ajv knows a component schema. */
export function idOf(ref: string): string {
  return `${prefix}${ref.replace('#/components/schemas/', '')}`
}

/** The name of the function that an id was compiled to. */
export function functionOf(id: string): string {
  return `validate${id.slice(prefix.length)}`
}

/** The ids that a prepared schema refers to. */
export function idsWithin(schema: Json): string[] {
  if (Array.isArray(schema)) return schema.flatMap(idsWithin)
  if (!isObject(schema)) return []
  const own = typeof schema.$ref === 'string' && schema.$ref.startsWith(prefix) ? [schema.$ref] : []
  return [...own, ...Object.values(schema).flatMap(idsWithin)]
}
