import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Declared, Operation } from './contract.ts'
import { contract, type Schema, stepOf } from './document.ts'
import { resolve, typesOf } from './schema.ts'

/*
 * Holds a reply against the contract: status, headers, media type, body. The judge is ajv over the
 * contract as it is served, and nothing that was generated from it.
 */

/** A reply as it came. */
export interface Observed {
  status: number
  headers: Headers
  text: string
  /** The body as JSON; undefined when it is none. */
  json: Json | undefined
}

// biome-ignore lint/suspicious/noExplicitAny: what a reply holds is for the sweeps to find out
export type Json = any

const ajv = new Ajv2020({ strict: false, logger: false })
// An installed default export of a CommonJS package is the module itself.
;(addFormats as unknown as { default: (to: Ajv2020) => void }).default(ajv)
// By decimal places: a division of binary numbers refuses one valid amount in ten.
ajv.removeKeyword('multipleOf')
ajv.addKeyword({
  keyword: 'multipleOf',
  validate: (step: number, value: unknown) =>
    typeof value !== 'number' || Math.abs(value / step - Math.round(value / step)) < 1e-6,
})
ajv.addSchema(contract, 'contract')

const judges = new Map<string, ValidateFunction>()

/** What is wrong with a value by the schema at this place of the contract; undefined when nothing. */
export function misfit(at: string, value: unknown): string | undefined {
  const judge = judges.get(at) ?? ajv.compile({ $ref: `contract#${encodeURI(at)}` })
  judges.set(at, judge)
  if (judge(value)) return undefined
  const [error] = judge.errors ?? []
  return `${error?.instancePath ?? ''} ${error?.message} (${error?.schemaPath.slice(-60)})`
}

/** Headers of HTTP itself, and those that every answer has; all others are declared. */
const transport = new Set([
  'access-control-allow-origin',
  'access-control-expose-headers',
  'cache-control',
  'connection',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'transfer-encoding',
  'x-content-type-options',
])

/** All that is wrong with the reply of an operation. */
export function judge(operation: Operation, observed: Observed, isHead = false): string[] {
  const declared = operation.replies[String(observed.status)]
  if (declared === undefined) return [`${observed.status} is not declared: ${observed.text}`]
  return [
    ...judgeHeaders(declared, observed.headers),
    ...(isHead ? [] : judgeBody(declared, observed)),
    ...(observed.status >= 400 && !isHead ? judgeProblem(observed) : []),
  ]
}

/** All that is wrong with a refusal that belongs to no operation, such as an unknown route. */
export function judgeProblem({ status, headers, json, text }: Observed): string[] {
  if (json === undefined) return [`no problem, but ${text.slice(0, 200)}`]
  const described = contract.components.schemas.ProblemCode['x-problems'][json.code]
  const wrong = misfit('/components/schemas/Problem', json)
  const expectations: [string, unknown, unknown][] = [
    ['content-type', headers.get('content-type')?.split(';')[0], 'application/problem+json'],
    ['type', json.type, described?.type ?? `/problems/${json.code}`],
    ['status', json.status, status],
    ['the status of its code', described?.status, status],
    ['title', json.title, described?.title],
    ['requestId', json.requestId, headers.get('x-request-id')],
  ]
  const unmet = expectations.filter(([, found, wanted]) => found !== wanted)
  return [
    ...(wrong === undefined ? [] : [`problem: ${wrong}`]),
    ...unmet.map(([name, found, wanted]) => `problem: ${name} is ${found}, not ${wanted}`),
  ]
}

function judgeHeaders({ headers: declared }: Declared, headers: Headers): string[] {
  const wrongs: string[] = []
  for (const [name, { isRequired, schema, at }] of Object.entries(declared)) {
    const text = headers.get(name)
    if (text === null) {
      if (isRequired) wrongs.push(`header ${name} is missing`)
      continue
    }
    const wrong = misfit(at, read(schema, text))
    if (wrong !== undefined) wrongs.push(`header ${name}: ${text} ${wrong}`)
  }
  for (const name of headers.keys()) {
    if (!transport.has(name) && !declared[name]) wrongs.push(`header ${name} is not declared`)
  }
  return wrongs
}

/** A header's text as the type that the contract gives it. */
function read(schema: Schema, text: string): unknown {
  const types = typesOf(resolve(schema))
  if (types.includes('integer') || types.includes('number')) return Number(text)
  return types.includes('boolean') ? text === 'true' : text
}

function judgeBody({ mediaType, schema, at }: Declared, { headers, text, json }: Observed) {
  const type = headers.get('content-type')?.split(';')[0]
  if (mediaType === undefined) return text === '' ? [] : [`a body where none is declared: ${text}`]
  if (type !== mediaType) return [`content-type is ${type}, not ${mediaType}`]
  const value = mediaType.includes('json') ? json : text
  const wrong = misfit(at, value)
  const more = schema ? strangersIn(schema, value, '') : []
  return [
    ...(wrong === undefined ? [] : [`body${wrong}`]),
    ...more.map((where) => `body${where} is not in the contract`),
  ]
}

/**
 * Replies are open to additions, but those are made in the contract first: a member that it does
 * not know is a column that slipped out.
 */
function strangersIn(schema: Schema, value: unknown, at: string): string[] {
  const whole = resolve(schema)
  const { anyOf, oneOf, ...common } = whole
  const branches = anyOf ?? oneOf
  if (branches) {
    const found = branches.map((one) => strangersIn({ ...common, ...resolve(one) }, value, at))
    return found.sort((a, b) => a.length - b.length)[0] ?? []
  }
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => strangersIn(whole.items ?? {}, item, `${at}/${index}`))
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) => {
    const place = `${at}/${stepOf(name)}`
    const known = whole.properties?.[name]
    if (known) return strangersIn(known, member, place)
    const others = whole.additionalProperties
    if (typeof others === 'object') return strangersIn(others, member, place)
    return whole.properties && others !== true ? [place] : []
  })
}
