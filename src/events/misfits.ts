import { createRequire } from 'node:module'
import type {
  Ajv2020,
  FuncKeywordDefinition,
  SchemaObject,
  ValidateFunction,
} from 'ajv/dist/2020.js'
import { type FieldError, fieldErrorsOf } from '#http/field-errors.ts'
import type { TenantId } from '#ids.ts'

/** What is wrong with data by a tenant's schema, as JSON; `name` is its field in the body. */
export function misfitsOf(
  tenantId: TenantId,
  schema: string,
  data: unknown,
  name: string,
): FieldError[] {
  const validate = validatorOf(tenantId, schema)
  if (validate(data)) return []
  return fieldErrorsOf('body', validate.errors ?? []).map((error) => {
    return { ...error, pointer: `/${name}${error.pointer ?? ''}` }
  })
}

/** Why a tenant's schema, as JSON, cannot be used, for people; undefined when it can. */
export function obstacleOf(tenantId: TenantId, schema: string): string | undefined {
  try {
    validatorOf(tenantId, schema)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

interface Kept {
  tenantId: TenantId
  validate: ValidateFunction
}

/** Of a tenant as many as it has types, and so many of all, are compiled once. */
const keptMax = { ofTenant: 100, ofAll: 1_000 }

/** By tenant and text; the one that was not used for longest comes first. */
const kept = new Map<string, Kept>()

function validatorOf(tenantId: TenantId, schema: string): ValidateFunction {
  const name = `${tenantId} ${schema}`
  const { validate } = kept.get(name) ?? { validate: compile(JSON.parse(schema)) }
  const isNew = !kept.delete(name)
  kept.set(name, { tenantId, validate })
  if (isNew) makeRoom(tenantId)
  return validate
}

function makeRoom(tenantId: TenantId): void {
  const names = [...kept.keys()]
  const own = names.filter((name) => kept.get(name)?.tenantId === tenantId)
  if (own.length > keptMax.ofTenant) kept.delete(String(own[0]))
  else if (names.length > keptMax.ofAll) kept.delete(String(names[0]))
}

/** Loaded when first needed: few installations do, and all of them start. */
const require = createRequire(import.meta.url)
const compiler = (): typeof import('ajv/dist/2020.js') => require('ajv/dist/2020.js')

/** Names that every object inherits are data like any other. */
const options = { strict: true, allowUnionTypes: true, ownProperties: true, logger: false } as const

/** Knows what a schema is, which takes longer to compile than most schemas. */
let judge: Ajv2020 | undefined

function compile(schema: SchemaObject): ValidateFunction {
  const { Ajv2020 } = compiler()
  judge ??= new Ajv2020(options)
  if (!judge.validateSchema(schema))
    throw new Error(judge.errorsText(judge.errors, { dataVar: 'schema' }))
  // One that is used once: ajv itself would keep what it has compiled for ever.
  const ajv = new Ajv2020({ ...options, meta: false, validateSchema: false })
  return ajv.removeKeyword('enum').addKeyword(oneOfEntries()).compile(schema)
}

/** `enum`, which takes no longer for many values than for one; that of ajv tries one by one. */
function oneOfEntries(): FuncKeywordDefinition {
  const { _ } = compiler()
  const equal: (one: unknown, other: unknown) => boolean = require('ajv/dist/runtime/equal').default
  return {
    keyword: 'enum',
    schemaType: 'array',
    compile(entries: unknown[]) {
      const values = new Set(entries)
      const others = entries.filter(isObjectOrList)
      return (data) => values.has(data) || others.some((entry) => equal(entry, data))
    },
    error: {
      message: 'must be one of the entries',
      params: ({ schemaCode }) => _`{ allowedValues: ${schemaCode} }`,
    },
  }
}

/** Entries of `enum` that are compared one by one. */
export const isObjectOrList = (entry: unknown): boolean =>
  typeof entry === 'object' && entry !== null
