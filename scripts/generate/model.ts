import { refuse } from './breach.ts'
import {
  asArray,
  asObject,
  asStrings,
  asText,
  at,
  follow,
  isObject,
  type Json,
  type JsonObject,
  sortedEntries,
} from './json.ts'
import { type Parameter, readParameters } from './parameters.ts'

/** The contract as the printers want it: references followed, defaults filled in. */
export interface Operation {
  operationId: string
  pointer: string
  source: JsonObject
  method: string
  path: string
  tag: string
  kind: 'read' | 'write'
  /** null: no authentication. */
  scopes: readonly string[] | null
  idempotency: 'required' | 'optional' | null
  cost: number
  deprecation: JsonObject | null
  auditedRead: string | null
  /** Whether others prescribe its form: it is handed over and answered as it is. */
  isRaw: boolean
  /** What is said when it goes on as a WebSocket: the schemas of each side's messages. */
  websocket: { sends: JsonObject; receives: JsonObject } | null
  parameters: readonly Parameter[]
  body: Body | null
  replies: readonly Reply[]
}

export interface Body {
  isRequired: boolean
  mediaTypes: readonly string[]
  schema: Json
  pointer: string
}

export interface Reply {
  status: number
  mediaType: string | null
  schema: Json | undefined
  pointer: string
  headers: readonly ReplyHeader[]
}

export interface ReplyHeader {
  name: string
  isRequired: boolean
  schema: Json
}

export const methods = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'] as const

/** Every operation, by operationId. */
export function readOperations(document: JsonObject): Operation[] {
  const operations = new Map<string, Operation>()
  for (const [path, item] of sortedEntries(asObject(document.paths))) {
    for (const method of methods) {
      const source = asObject(item)[method]
      if (!isObject(source)) continue
      const operation = readOperation(document, path, asObject(item), method)
      const { operationId, pointer } = operation
      if (!/^[a-z][A-Za-z0-9]*$/.test(operationId)) {
        refuse(at(pointer, 'operationId'), 'Every operation has an operationId, in camelCase.')
      }
      if (operations.has(operationId)) {
        refuse(at(pointer, 'operationId'), `'${operationId}' is used by another operation too.`)
      }
      operations.set(operationId, operation)
    }
  }
  return sortedEntries(Object.fromEntries(operations)).map(([, operation]) => operation)
}

function readOperation(
  document: JsonObject,
  path: string,
  item: JsonObject,
  method: string,
): Operation {
  const source = asObject(item[method])
  const pointer = at('/paths', path, method)
  const idempotency = source['x-idempotency']
  return {
    operationId: asText(source.operationId),
    pointer,
    source,
    method: method.toUpperCase(),
    path,
    tag: asText(asArray(source.tags)[0]) || refuse(pointer, 'The operation has no tag.'),
    kind: method === 'get' || method === 'head' ? 'read' : 'write',
    scopes: readScopes(document, source, pointer),
    idempotency: idempotency === 'required' || idempotency === 'optional' ? idempotency : null,
    cost: typeof source['x-cost'] === 'number' ? source['x-cost'] : 1,
    deprecation: isObject(source['x-deprecation']) ? source['x-deprecation'] : null,
    auditedRead: asText(source['x-audited-read']) || null,
    isRaw: source['x-raw'] === true,
    websocket: readWebSocket(source),
    parameters: readParameters(document, at('/paths', path), item, method),
    body: readBody(document, source, pointer),
    replies: readReplies(document, source, pointer),
  }
}

function readWebSocket(source: JsonObject): Operation['websocket'] {
  const messages = source['x-websocket']
  if (!isObject(messages)) return null
  const { sends, receives } = messages
  return { sends: { oneOf: asArray(sends) }, receives: { oneOf: asArray(receives) } }
}

/** `security: []` or `[{}]` is an open door; one requirement lists the scopes. */
function readScopes(document: JsonObject, source: JsonObject, pointer: string): string[] | null {
  const security = asArray(source.security ?? document.security)
  if (security.length > 1) {
    refuse(at(pointer, 'security'), 'Alternatives are not supported: give one requirement.')
  }
  const schemes = Object.values(asObject(security[0]))
  if (schemes.length > 1) {
    refuse(at(pointer, 'security'), 'Several schemes at once are not supported: give one.')
  }
  return schemes.length === 0 ? null : asStrings(schemes[0])
}

function readBody(document: JsonObject, source: JsonObject, pointer: string): Body | null {
  if (source.requestBody === undefined) return null
  const body = follow(document, source.requestBody)
  const content = asObject(body.content)
  const mediaTypes = Object.keys(content)
  const [first = '', ...others] = mediaTypes
  const schema = asObject(content[first]).schema ?? {}
  const differing = others.find((other) => {
    return JSON.stringify(asObject(content[other]).schema ?? {}) !== JSON.stringify(schema)
  })
  const where = at(pointer, 'requestBody')
  if (differing) refuse(at(where, 'content', differing), `Its schema differs from ${first}'s.`)
  return { isRequired: body.required === true, mediaTypes, schema, pointer: where }
}

function readReplies(document: JsonObject, source: JsonObject, pointer: string): Reply[] {
  return sortedEntries(asObject(source.responses)).map(([status, response]) => {
    const where = at(pointer, 'responses', status)
    if (!/^[1-5]\d\d$/.test(status)) refuse(where, `'${status}' is not one status: name each.`)
    const followed = follow(document, response)
    const [content, ...others] = Object.entries(asObject(followed.content))
    if (others.length > 0) refuse(at(where, 'content'), 'A reply has one media type.')
    const headers = sortedEntries(asObject(followed.headers))
    return {
      status: Number(status),
      mediaType: content ? content[0] : null,
      schema: content ? (asObject(content[1]).schema ?? {}) : undefined,
      pointer: where,
      headers: headers.map(([name, header]) => readHeader(document, name, header)),
    }
  })
}

function readHeader(document: JsonObject, name: string, header: Json): ReplyHeader {
  const followed = follow(document, header)
  return { name, isRequired: followed.required === true, schema: followed.schema ?? {} }
}
