import type { OperationId } from '#generated/operations.ts'
import type { Scope } from '#generated/routes.ts'
import { covers } from '#http/scopes.ts'
import {
  type Content,
  contract,
  follow,
  type OperationObject,
  type ParameterObject,
  type Reference,
  type ResponseObject,
  type Schema,
  stepOf,
} from './document.ts'
import { resolve } from './schema.ts'

/*
 * What the sweeps know of an operation: read from the bundled contract itself, not from what the
 * generator made of it, so that the generator is held to the contract as well.
 */

export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  isRequired: boolean
  schema: Schema
  example: unknown
  /** Where its schema stands in the contract. */
  at: string
}

export interface Body {
  mediaType: string
  schema: Schema
  examples: readonly [name: string, value: unknown][]
  at: string
}

export interface Declared {
  headers: Readonly<Record<string, { isRequired: boolean; schema: Schema; at: string }>>
  /** Undefined: a reply without body. */
  mediaType: string | undefined
  schema: Schema | undefined
  at: string
}

export interface Operation {
  id: OperationId
  method: string
  path: string
  /** Whom it is for: anybody, the operators of the installation, or tenants. */
  audience: 'open' | 'operator' | 'tenant'
  scopes: readonly Scope[]
  idempotency: 'required' | 'optional' | undefined
  parameters: readonly Parameter[]
  /** One for each media type; none when it takes no body. */
  bodies: readonly Body[]
  isBodyRequired: boolean
  replies: Readonly<Record<string, Declared>>
}

/**
 * Every operation of the contract, but for those whose form others prescribe: what is promised of
 * these is of each sender, and shown in test/inbound.
 */
export const operations: readonly Operation[] = Object.entries(contract.paths).flatMap(
  ([path, methods]) =>
    Object.entries(methods)
      .filter(([, object]) => object['x-raw'] === undefined)
      .map(([method, object]) => operationOf(path, method, object)),
)

export function operationBy(id: string): Operation {
  const operation = operations.find((candidate) => candidate.id === id)
  if (operation === undefined) throw new Error(`the contract has no operation ${id}`)
  return operation
}

/** The methods that a path answers, HEAD and OPTIONS included. */
export function methodsOf(path: string): string[] {
  const declared = operations.filter((operation) => operation.path === path)
  const methods = new Set(['OPTIONS', ...declared.map(({ method }) => method)])
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].sort()
}

/** What a list answers for each row; undefined for what is no list. */
export function itemOf({ method, replies }: Operation): Schema | undefined {
  const page = replies['200']?.schema && resolve(replies['200'].schema)
  const data = page?.properties?.nextCursor && page.properties.data
  return method === 'GET' && data ? resolve(data).items : undefined
}

function operationOf(path: string, method: string, object: OperationObject): Operation {
  const at = `/paths/${stepOf(path)}/${method}`
  const scopes = object.security[0]?.apiKey
  return {
    id: object.operationId,
    method: method.toUpperCase(),
    path,
    audience: audienceOf(scopes),
    scopes: scopes ?? [],
    idempotency: object['x-idempotency'],
    parameters: (object.parameters ?? []).map((reference, index) =>
      parameterOf(reference, `${at}/parameters/${index}`),
    ),
    isBodyRequired: object.requestBody?.required ?? false,
    bodies: mediaOf(object.requestBody?.content, `${at}/requestBody`),
    replies: Object.fromEntries(
      Object.entries(object.responses).map(([status, response]) => [
        status,
        declaredOf(response, `${at}/responses/${status}`),
      ]),
    ),
  }
}

function audienceOf(scopes: readonly Scope[] | undefined): Operation['audience'] {
  if (scopes === undefined) return 'open'
  return scopes.every((scope) => covers(['*'], scope)) ? 'tenant' : 'operator'
}

function parameterOf(reference: Reference<ParameterObject>, place: string): Parameter {
  const { target, at } = follow<ParameterObject>(reference, place)
  const { name, required = false, schema, example } = target
  return { name, in: target.in, isRequired: required, schema, example, at: `${at}/schema` }
}

function mediaOf(content: Content = {}, at: string): Body[] {
  return Object.entries(content).map(([mediaType, { schema, examples = {} }]) => ({
    mediaType,
    schema,
    examples: Object.entries(examples).map(([name, { value }]) => [name, value] as const),
    at: `${at}/content/${stepOf(mediaType)}/schema`,
  })) as Body[]
}

function declaredOf(reference: Reference<ResponseObject>, place: string): Declared {
  const { target, at } = follow<ResponseObject>(reference, place)
  const [media] = mediaOf(target.content, at)
  const headers = Object.entries(target.headers ?? {}).map(([name, header]) => {
    const found = follow<ParameterObject>(header, `${at}/headers/${name}`)
    const { schema, required = false } = found.target
    return [name.toLowerCase(), { isRequired: required, schema, at: `${found.at}/schema` }]
  })
  return {
    headers: Object.fromEntries(headers),
    mediaType: media?.mediaType,
    schema: media?.schema,
    at: media?.at ?? at,
  }
}
