import { createRequire } from 'node:module'
import type { KeywordCxt } from 'ajv'
import type { Ajv2020 } from 'ajv/dist/2020.js'
import { type Json, type JsonObject, lookUp } from './json.ts'
import { functionOf, idsWithin } from './prepare.ts'
import { formats, isMultipleOf } from './runtime.js'

const require = createRequire(import.meta.url)

/**
 * One compiled schema as a function that can be laid into any module: numbered names of ajv are
 * replaced by names that say what they are, and constants by `$0`, `$1`, … for the module to name.
 */
export interface Unit {
  text: string
  constants: string[]
  /** What it calls of runtime.js. */
  runtime: string[]
}

/** What ajv keeps of a compiled function under `code.source`. */
interface Source {
  validateName: { str: string }
  validateCode: string
  scopeValues: Record<string, Set<ScopeValue> | undefined>
}

interface ScopeValue {
  str: string
  value: { ref: unknown; key?: unknown; code?: { toString(): string } }
}

/**
 * Compiles schemas one by one: each reference becomes a call, so that a unit depends on its own
 * schema alone and can be kept until that changes.
 */
export function unitCompiler(): (name: string, schema: JsonObject) => Unit {
  const ajv = newAjv()
  return (name, schema) => {
    for (const $id of idsWithin(schema)) if (!ajv.getSchema($id)) ajv.addSchema({ $id })
    return unitOf(name, ajv.compile(schema))
  }
}

function newAjv(): Ajv2020 {
  const { Ajv2020: Constructor } = require('ajv/dist/2020.js') as { Ajv2020: typeof Ajv2020 }
  const ajv = new Constructor({
    strict: true,
    allErrors: false,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    inlineRefs: false,
    formats,
    code: { source: true, esm: true, lines: true },
  })
  // The ledger refuses `unevaluated…`, so no function has to keep count for it.
  ajv.opts.unevaluated = false
  addExactMultipleOf(ajv)
  return ajv
}

/**
 * ajv's own `multipleOf` divides, and with `multipleOfPrecision: 6` it refuses every tenth amount
 * below a billion that has two decimal places. Ours asks for the decimal places themselves.
 */
function addExactMultipleOf(ajv: Ajv2020): void {
  const { _ } = require('ajv') as typeof import('ajv')
  ajv.removeKeyword('multipleOf')
  ajv.addKeyword({
    keyword: 'multipleOf',
    type: 'number',
    schemaType: 'number',
    error: {
      message: ({ schema }) => `must be multiple of ${schema}`,
      params: ({ schema }) => _`{multipleOf: ${schema}}`,
    },
    code(context: KeywordCxt) {
      const check = context.gen.scopeValue('func', { ref: isMultipleOf, code: _`isMultipleOf` })
      context.fail(_`!${check}(${context.data}, ${context.schema})`)
    },
  })
}

function unitOf(name: string, validate: unknown): Unit {
  const { validateName, validateCode, scopeValues } = (validate as { source: Source }).source
  const constants: string[] = []
  const runtime = new Set<string>()
  const constant = (code: string): string => {
    if (!constants.includes(code)) constants.push(code)
    return `$${constants.indexOf(code)}`
  }
  const names = new Map([[validateName.str, name]])
  for (const { str, value } of scopeValues.validate ?? []) {
    const { schemaEnv } = value.ref as { schemaEnv: { baseId: string } }
    names.set(str, functionOf(schemaEnv.baseId))
  }
  for (const { str, value } of scopeValues.func ?? []) {
    const called = functionName(String(value.code))
    runtime.add(called)
    names.set(str, called)
  }
  for (const { str, value } of scopeValues.formats ?? []) {
    runtime.add('formats')
    names.set(str, constant(`formats[${JSON.stringify(value.key)}]`))
  }
  for (const { str, value } of scopeValues.pattern ?? []) {
    names.set(str, constant(String(value.code)))
  }
  const schemas = new Map([...(scopeValues.schema ?? [])].map(({ str, value }) => [str, value.ref]))
  const text = validateCode
    .replaceAll(/, ?dynamicAnchors(={})?/g, '')
    .replaceAll(/\b(schema\d+)((?:\.\w+|\[(?:\d+|"(?:[^"\\]|\\.)*")\])+)/g, (_, schema, path) => {
      return constant(pick(schemas.get(schema) as Json, path))
    })
    .replaceAll(/\b(?:validate|func|formats|pattern|wrapper|schema)\d+\b/g, (token) => {
      const meant = names.get(token)
      if (meant === undefined) throw new Error(`${name} uses ${token}, which is unknown`)
      return meant
    })
  return { text: indent(text), constants, runtime: [...runtime] }
}

function functionName(code: string): string {
  if (code.includes('ucs2length')) return 'ucs2length'
  if (code.includes('runtime/equal')) return 'equal'
  if (code === 'Object.prototype.hasOwnProperty') return 'hasOwn'
  if (code === 'isMultipleOf') return code
  throw new Error(`ajv calls ${code}, which runtime.js does not have`)
}

/** The part of a schema that an error or a loop needs, as source; of `properties` the names. */
function pick(schema: Json, path: string): string {
  const steps = [...path.matchAll(/\.(\w+)|\[(\d+|"(?:[^"\\]|\\.)*")\]/g)].map((match) => {
    return match[1] ?? String(JSON.parse(match[2] ?? ''))
  })
  const pointer = steps.map((step) => `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`)
  const found = lookUp(schema, pointer.join(''))
  if (found === undefined) throw new Error(`a schema has no ${path}`)
  if (steps.at(-1) !== 'properties') return JSON.stringify(found)
  const names = Object.keys(Object(found)).map((name) => `${JSON.stringify(name)}: 0`)
  return `{ ${names.join(', ')} }`
}

/** ajv's lines are flush left; their braces tell the depth. */
function indent(code: string): string {
  let depth = 0
  const lines = code
    .trim()
    .split('\n')
    .map((line) => {
      if (line.startsWith('}')) depth -= 1
      const indented = `${'  '.repeat(Math.max(depth, 0))}${line}\n`
      if (line.endsWith('{')) depth += 1
      return indented
    })
  return lines.join('')
}
