import { refuse } from './breach.ts'
import {
  asObject,
  asStrings,
  at,
  byName,
  type Json,
  type JsonObject,
  lookUp,
  sortedEntries,
} from './json.ts'
import type { Operation, Reply } from './model.ts'
import type { Parameter } from './parameters.ts'
import { type Code, camel, code, header, literal, pascal, quote, union } from './print.ts'
import { routeTypes } from './route-types.ts'
import { sensitiveNames, sensitivity } from './sensitive.ts'
import type { Place } from './validators.ts'

/** What the entries need: modules to import, and constants that they share. */
interface Table {
  places: ReadonlyMap<string, Place>
  modules: Set<string>
  parameters: Map<string, string>
  replies: Map<string, string>
  isSensitive: (schema: Json | undefined) => boolean
  namesOfSecrets: (schemas: readonly Json[]) => string[]
}

/** `generated/routes.ts`: the contract as a table that mount walks. */
export function printRoutes(
  document: JsonObject,
  operations: readonly Operation[],
  places: ReadonlyMap<string, Place>,
): string {
  const scopes = readScopeNames(document, operations)
  const table: Table = {
    places,
    modules: new Set(),
    parameters: new Map(),
    replies: new Map(),
    isSensitive: sensitivity(document),
    namesOfSecrets: sensitiveNames(document),
  }
  const entries = operations.map((operation) => {
    return `  ${operation.operationId}: ${literal(routeEntry(table, operation), '  ')},\n`
  })
  const imports = [...table.modules].sort(byName).map((module) => {
    return `import * as ${moduleName(module)} from './validators/${module}.js'\n`
  })
  return [
    header,
    "import type { OperationId } from './operations.ts'\n",
    "import type { Validate } from './validate.ts'\n",
    ...imports,
    `\nexport type Scope = ${union(scopes.map(quote))}\n`,
    '\n/** Every scope that a key can have. */\n',
    `export const scopes: readonly Scope[] = ${literal(scopes, '', 40)}\n`,
    routeTypes,
    printConstants(table.parameters, 'Parameter'),
    printConstants(table.replies, 'RouteReply'),
    `\nexport const routes: Record<OperationId, Route> = {\n${entries.join('')}}\n`,
  ].join('')
}

/** The schema `ApiKeyScope` names all that an operation may ask for. */
function readScopeNames(document: JsonObject, operations: readonly Operation[]): string[] {
  const schema = lookUp(document, '/components/schemas/ApiKeyScope')
  const known = asStrings(asObject(schema).enum)
  for (const { scopes, pointer } of operations) {
    const unknown = scopes?.find((scope) => !known.includes(scope))
    if (unknown && schema) refuse(at(pointer, 'security'), `'${unknown}' is not an ApiKeyScope.`)
  }
  const used = operations.flatMap(({ scopes }) => scopes ?? [])
  return [...new Set([...known, ...used])].sort(byName)
}

function moduleName(module: string): string {
  return `${camel(module)}Validators`
}

function routeEntry(table: Table, operation: Operation) {
  const { operationId, body, replies } = operation
  const ifMatch = operation.parameters.find(({ key }) => key === 'if-match')
  const validator = (suffix: string | number) => validatorOf(table, `${operationId}${suffix}`)
  return {
    operationId,
    method: operation.method,
    path: operation.path,
    url: operation.path.replaceAll(/\{([^}]+)\}/g, ':$1'),
    tag: operation.tag,
    kind: operation.kind,
    scopes: operation.scopes,
    idempotency: operation.idempotency,
    cost: operation.cost,
    ifMatch: ifMatch ? (ifMatch.isRequired ? 'required' : 'optional') : null,
    deprecation: operation.deprecation,
    auditedRead: operation.auditedRead,
    isRaw: operation.isRaw,
    websocket: operation.websocket && {
      sends: validator('Sends'),
      receives: validator('Receives'),
    },
    body: body && { isRequired: body.isRequired, mediaTypes: body.mediaTypes },
    parameters: operation.parameters.map((parameter) => parameterConstant(table, parameter)),
    secretNames: table.namesOfSecrets([
      body?.schema ?? null,
      ...replies.map(({ schema }) => schema ?? null),
    ]),
    statuses: replies.map(({ status }) => status),
    replies: Object.fromEntries(
      replies.map((reply) => [reply.status, replyConstant(table, reply)]),
    ),
    validate: {
      path: validator('Path'),
      query: validator('Query'),
      headers: validator('Headers'),
      body: validator('Body'),
      replies: Object.fromEntries(replies.map(({ status }) => [status, validator(status)])),
    },
  }
}

function validatorOf({ places, modules }: Table, part: string): Code {
  const place = places.get(part)
  if (place) modules.add(place.module)
  return code(place ? `${moduleName(place.module)}.${place.name}` : 'null')
}

/** Parameters that many operations have are written once: `limitInQuery`, `ifMatchInHeader`. */
function parameterConstant(table: Table, parameter: Parameter): Code {
  const { schema: _schema, source: _source, pointer: _pointer, ...entry } = parameter
  const name = `${camel(parameter.key)}In${pascal(parameter.in)}`
  return constant(table.parameters, name, entry)
}

/** Headers that every reply has, so that they tell none apart. */
const usualHeaders = ['X-Correlation-Id', 'X-Request-Id', 'traceparent', 'Server-Timing']

/** So are replies: `json`, `problem`, `problemRetryAfter`, `jsonSensitive`, `none`. */
function replyConstant(table: Table, { mediaType, schema, headers }: Reply): Code {
  const isSensitive = table.isSensitive(schema)
  const names = headers.map((header) => header.name)
  const special = names.filter((name) => !usualHeaders.includes(name)).map(pascal)
  const form = mediaType?.replace(/^.*[/+-]/, '') ?? 'none'
  const base = mediaType === 'application/problem+json' ? 'problem' : form
  const name = [base, isSensitive ? 'Sensitive' : '', ...special].join('')
  return constant(table.replies, name, { mediaType, isSensitive, headers: names })
}

function constant(written: Map<string, string>, base: string, value: object): Code {
  const text = literal(value, '', 40)
  for (let count = 1; ; count += 1) {
    const name = count === 1 ? base : `${base}${count}`
    const other = written.get(name)
    if (other !== undefined && other !== text) continue
    written.set(name, text)
    return code(name)
  }
}

function printConstants(written: ReadonlyMap<string, string>, type: string): string {
  const lines = sortedEntries(Object.fromEntries(written)).map(([name, text]) => {
    return `\nconst ${name}: ${type} = ${text}\n`
  })
  return lines.join('')
}
