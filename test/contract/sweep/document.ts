import { readFileSync } from 'node:fs'
import type { OperationId } from '#generated/operations.ts'
import type { Scope } from '#generated/routes.ts'

/*
 * The bundled contract as it is served, in the shape that OpenAPI gives it.
 */

const contractFile = new URL('../../../generated/openapi.json', import.meta.url)

export const contract: Contract = JSON.parse(readFileSync(contractFile, 'utf8'))

export interface Contract {
  paths: Record<string, Record<string, OperationObject>>
  components: { schemas: Record<string, Schema> & { ProblemCode: Problems } }
}

/** What each problem code means; its documentation is `/problems/<code>` unless it says otherwise. */
interface Problems extends Schema {
  'x-problems': Readonly<Record<string, { status: number; title: string; type?: string }>>
}

export interface OperationObject {
  operationId: OperationId
  security: { apiKey: Scope[] }[]
  parameters?: Reference<ParameterObject>[]
  requestBody?: { required?: boolean; content: Content }
  responses: Record<string, Reference<ResponseObject>>
  'x-idempotency'?: 'required' | 'optional'
  'x-raw'?: true
}

/** A thing in its place, or the name of one under `components`. */
export type Reference<Target> = Partial<Target> & { $ref?: string }

export type Content = Record<
  string,
  { schema: Schema; examples?: Record<string, { value: unknown }> }
>

export interface ResponseObject {
  headers?: Record<string, Reference<ParameterObject>>
  content?: Content
}

export interface ParameterObject {
  name: string
  in: 'path' | 'query' | 'header'
  required?: boolean
  schema: Schema
  example?: unknown
}

/** As much of JSON Schema as the contract uses. */
export interface Schema {
  $ref?: string
  type?: string | readonly string[]
  enum?: readonly unknown[]
  const?: unknown
  default?: unknown
  examples?: readonly unknown[]
  format?: string
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  multipleOf?: number
  items?: Schema
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  properties?: Readonly<Record<string, Schema>>
  required?: readonly string[]
  additionalProperties?: boolean | Schema
  propertyNames?: Schema
  minProperties?: number
  maxProperties?: number
  allOf?: readonly Schema[]
  anyOf?: readonly Schema[]
  oneOf?: readonly Schema[]
}

/** What a reference of the contract names, and where it stands. */
export function follow<Target>(
  reference: Reference<Target>,
  at: string,
): { target: Target; at: string } {
  if (reference.$ref === undefined) return { target: reference as Target, at }
  const place = reference.$ref.slice(1)
  let target: unknown = contract
  for (const name of namesOf(place)) target = (target as Record<string, unknown>)[name]
  return { target: target as Target, at: place }
}

/** The steps of a JSON pointer. */
export function namesOf(pointer: string): string[] {
  const [, ...steps] = pointer.split('/')
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** A name as a step of a JSON pointer. */
export const stepOf = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1')
