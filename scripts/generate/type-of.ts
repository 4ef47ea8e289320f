import { asArray, asObject, asStrings, isObject, type Json } from './json.ts'
import { quote } from './print.ts'

/** Collects the names that a generated file must import. */
export interface Names {
  schemas: Set<string>
  /** Whether `operations` of contract.ts is spoken of. */
  needsContract: boolean
}

export function newNames(): Names {
  return { schemas: new Set(), needsContract: false }
}

/**
 * The TypeScript type of a schema, by name where it has one. What is too large to be repeated
 * here is taken from contract.ts by `path`, where openapi-typescript wrote it.
 */
export function typeOf(schema: Json | undefined, names: Names, path: string): string {
  if (!isObject(schema)) return 'unknown'
  if (typeof schema.$ref === 'string') return nameOf(schema.$ref, names)
  if (schema.const !== undefined) return scalarLiteral(schema.const)
  const types = Array.isArray(schema.type) ? asStrings(schema.type) : asStrings([schema.type ?? ''])
  const isNullable = types.includes('null')
  if (schema.enum !== undefined) {
    const values = asArray(schema.enum).map(scalarLiteral)
    return [...new Set(isNullable ? [...values, 'null'] : values)].join(' | ')
  }
  const simple = types.map((type) => simpleType(type, schema, names))
  if (!simple.includes(undefined) && types[0] !== '') return simple.join(' | ')
  names.needsContract = true
  return path
}

function simpleType(type: string, schema: { [key: string]: Json }, names: Names) {
  if (type === 'integer' || type === 'number') return 'number'
  if (type === 'string' || type === 'boolean' || type === 'null') return type
  if (type !== 'array') return undefined
  const inner: Names = newNames()
  const items = typeOf(asObject(schema.items), inner, '')
  if (inner.needsContract) return undefined
  for (const name of inner.schemas) names.schemas.add(name)
  return items.includes(' ') ? `(${items})[]` : `${items}[]`
}

export function nameOf(ref: string, names: Names): string {
  const name = ref.replace('#/components/schemas/', '')
  names.schemas.add(name)
  return name
}

function scalarLiteral(value: Json): string {
  return typeof value === 'string' ? quote(value) : JSON.stringify(value)
}
