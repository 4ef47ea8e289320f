import { contract, type Schema } from './document.ts'

/** A schema with its reference followed, and what it is made of (`allOf`) put together. */
export function resolve(schema: Schema): Schema {
  const { $ref, allOf, ...own } = schema
  const parts = [...($ref === undefined ? [] : [named($ref)]), ...(allOf ?? [])].map(resolve)
  if (parts.length === 0) return own
  const whole: Schema = Object.assign({}, ...parts, own)
  const properties = Object.assign({}, ...[...parts, own].map((part) => part.properties ?? {}))
  const required = [...parts, own].flatMap((part) => part.required ?? [])
  return { ...whole, ...(whole.properties ? { properties, required } : {}) }
}

function named(reference: string): Schema {
  const name = reference.slice(reference.lastIndexOf('/') + 1)
  const schema = contract.components.schemas[name]
  if (schema === undefined) throw new Error(`the contract has no schema ${name}`)
  return schema
}

export function typesOf(schema: Schema): readonly string[] {
  if (typeof schema.type === 'string') return [schema.type]
  return schema.type ?? []
}

/** Whether a value is of a type that the schema allows. */
export function typeFits(schema: Schema, value: unknown): boolean {
  const types = typesOf(resolve(schema))
  if (value === null) return types.includes('null')
  if (typeof value === 'number' && types.includes('integer')) return true
  return types.includes(Array.isArray(value) ? 'array' : typeof value)
}

/** Ids are a prefix and 26 characters; here any schema with such a pattern is one. */
const idPattern = /^\^([a-z]+)_\[0-6\]\[0-9a-hjkmnp-tv-z\]\{25\}\$$/

/** Types of event that tenants make are known by their names. */
const ownTypeName = 'CustomEventTypeName'

/** Of which kind of thing a value is the id, such as `ClientId`; undefined when it is no id. */
export function idKindOf(schema: Schema): string | undefined {
  if (schema.$ref?.endsWith(`/${ownTypeName}`)) return ownTypeName
  const { pattern = '' } = resolve(schema)
  if (!pattern.includes('[0-9a-hjkmnp-tv-z]{25}')) return undefined
  const kind =
    schema.$ref
      ?.split('/')
      .at(-1)
      ?.replace(/OrNull$/, '') ?? kindWith(pattern)
  if (kind === undefined) throw new Error(`no schema under components is an id by ${pattern}`)
  return kind
}

function kindWith(pattern: string): string | undefined {
  const schemas = Object.entries(contract.components.schemas)
  return schemas.find(([name, schema]) => name.endsWith('Id') && schema.pattern === pattern)?.[0]
}

/** A well-formed id of this kind that names nothing. */
export function idOfNobody(kind: string): string {
  if (kind === ownTypeName) return 'custom.nobody'
  const { pattern = '', examples = [] } = resolve({ $ref: `#/components/schemas/${kind}` })
  const prefix = idPattern.exec(pattern)?.[1] ?? String(examples[0]).split('_')[0]
  return `${prefix}_${'0'.repeat(26)}`
}

/** Texts to try where a pattern is asked for and no example is given. */
const texts = ['a', 'A', '1', 'ab', 'AB', 'a.b', 'abc', 'ABC', 'abc.def', '*', '203.0.113.7', '"1"']

const formatted: Record<string, string> = {
  date: '2026-02-04',
  'date-time': '2026-02-04T10:00:00Z',
  email: 'ada@example.com',
  uri: 'https://example.com/',
  uuid: '01890a5d-ac96-774b-bcce-b302099a8057',
}

/** Some value that fits; throws, naming `what`, where the contract gives no way to find one. */
export function sample(schema: Schema, what: string): unknown {
  const whole = resolve(schema)
  if (whole.const !== undefined) return whole.const
  if (whole.enum) return whole.enum[0]
  const example = whole.examples?.find((value) => value !== null) ?? whole.default
  if (example !== undefined) return example
  const [branch] = whole.anyOf ?? whole.oneOf ?? []
  if (branch) return sample(branch, what)
  switch (typesOf(whole).find((type) => type !== 'null')) {
    case 'string':
      return sampleText(whole, what)
    case 'integer':
    case 'number':
      return Math.max(whole.minimum ?? 0, (whole.exclusiveMinimum ?? -1) + 1)
    case 'boolean':
      return true
    case 'array':
      return Array.from({ length: whole.minItems ?? 0 }, () => sample(whole.items ?? {}, what))
    default:
      return sampleObject(whole, what)
  }
}

function sampleObject({ properties = {}, required = [] }: Schema, what: string) {
  const members = required.map((name) => [name, sample(properties[name] ?? {}, `${what}/${name}`)])
  return Object.fromEntries(members)
}

function sampleText(schema: Schema, what: string): string {
  const { format = '', pattern, minLength = 0, maxLength = Infinity } = schema
  const candidates = [formatted[format] ?? 'text', ...texts, 'a'.repeat(minLength)]
  const found = candidates.find(
    (text) => text.length >= minLength && text.length <= maxLength && matches(pattern, text),
  )
  if (found !== undefined) return found
  throw new Error(`${what}: give its schema an example; none was found for ${pattern}`)
}

export function matches(pattern: string | undefined, text: string): boolean {
  return pattern === undefined || new RegExp(pattern, 'u').test(text)
}
