import type { Json, JsonObject } from './json.ts'
import {
  isCount,
  judgeAction,
  judgeDeprecation,
  judgeFormat,
  judgeName,
  judgePattern,
  judgeReference,
  judgeScalars,
  judgeSecurity,
  judgeStep,
  judgeType,
  mediaJudge,
  mustBe,
} from './judges.ts'

/*
 * The ledger: every keyword that a contract of this house may use, and which layers keep it. What
 * is not in here is refused, because a rule that a layer does not know is broken there in silence.
 * To admit a keyword, teach the layers first, then add it with their names.
 */

/**
 * `types`: contract.ts and operations.ts · `validators`: ajv · `decoder`: src/http/decode.ts ·
 * `routes`: the route table, for mount · `events`, `problems`: the tables of that name ·
 * `docs`: says nothing that could be broken, people read it.
 */
export type Layer = 'types' | 'validators' | 'decoder' | 'routes' | 'events' | 'problems' | 'docs'

export type Kind =
  | 'document'
  | 'info'
  | 'contact'
  | 'license'
  | 'server'
  | 'tag'
  | 'pathItem'
  | 'operation'
  | 'websocket'
  | 'webhookItem'
  | 'webhook'
  | 'parameter'
  | 'requestBody'
  | 'requestMedia'
  | 'response'
  | 'replyMedia'
  | 'header'
  | 'example'
  | 'schema'
  | 'securityScheme'
  | 'components'

export interface Field {
  by: readonly Layer[]
  /** What it holds, which is looked at in turn: one, a list, or a map of them by name. */
  one?: Kind
  list?: Kind
  map?: Kind
  /** What is wrong with this value, if anything. */
  judge?: (value: Json, holder: JsonObject) => string | undefined
}

const docs: Field = { by: ['docs'] }
const described = { summary: docs, description: docs }

const checked: Field = { by: ['validators'] }
const typed: readonly Layer[] = ['types', 'validators']

const schema: Record<string, Field> = {
  $ref: { by: typed, judge: judgeReference },
  type: { by: typed, judge: judgeType },
  enum: { by: typed, judge: judgeScalars },
  const: { by: typed, judge: (value) => judgeScalars([value]) },
  properties: { by: typed, map: 'schema' },
  required: { by: typed },
  additionalProperties: { by: typed, one: 'schema' },
  items: { by: typed, one: 'schema' },
  anyOf: { by: typed, list: 'schema' },
  oneOf: { by: typed, list: 'schema' },
  propertyNames: { by: ['validators'], one: 'schema' },
  pattern: { by: ['validators'], judge: judgePattern },
  format: { by: ['validators'], judge: judgeFormat },
  multipleOf: { by: ['validators'], judge: judgeStep },
  minLength: checked,
  maxLength: checked,
  minimum: checked,
  maximum: checked,
  exclusiveMinimum: checked,
  exclusiveMaximum: checked,
  minItems: checked,
  maxItems: checked,
  uniqueItems: checked,
  minProperties: checked,
  maxProperties: checked,
  // The decoder fills in a missing parameter; in a body it tells people what absence means.
  default: { by: ['types', 'decoder', 'docs'] },
  title: docs,
  description: docs,
  examples: docs,
  deprecated: { by: ['types', 'docs'] },
  $comment: docs,
  'x-sensitive': { by: ['routes'], judge: (value) => mustBe(value === true, 'true or absent') },
  'x-problems': { by: ['problems'] },
}

const media = { examples: { by: ['docs', 'events'], map: 'example' } } satisfies Record<
  string,
  Field
>

const parameter: Record<string, Field> = {
  ...described,
  name: { by: ['types', 'decoder', 'validators'], judge: judgeName },
  in: { by: ['types', 'decoder'] },
  required: { by: ['types', 'decoder', 'validators'] },
  style: { by: ['decoder'] },
  explode: { by: ['decoder'] },
  schema: { by: ['types', 'decoder', 'validators'], one: 'schema' },
  deprecated: { by: ['types', 'docs'] },
  example: docs,
  examples: { by: ['docs'], map: 'example' },
}

const operation: Record<string, Field> = {
  ...described,
  operationId: { by: ['types', 'routes'] },
  tags: { by: ['routes', 'docs'] },
  security: { by: ['routes'], judge: judgeSecurity },
  parameters: { by: ['types', 'decoder'], list: 'parameter' },
  requestBody: { by: ['types', 'routes', 'validators'], one: 'requestBody' },
  responses: { by: ['types', 'routes', 'validators'], map: 'response' },
  deprecated: { by: ['types', 'docs'] },
  externalDocs: docs,
  'x-cost': { by: ['routes'], judge: (value) => mustBe(isCount(value), 'a whole number from 0') },
  'x-idempotency': {
    by: ['routes'],
    judge: (value) => mustBe(value === 'required' || value === 'optional', 'required or optional'),
  },
  'x-deprecation': { by: ['routes'], judge: judgeDeprecation },
  'x-audited-read': { by: ['routes'], judge: judgeAction },
  'x-raw': { by: ['routes'], judge: (value) => mustBe(value === true, 'true or absent') },
  'x-websocket': { by: ['types', 'routes', 'validators'], one: 'websocket' },
}

const {
  operationId: _,
  'x-cost': __,
  'x-idempotency': ___,
  'x-audited-read': ____,
  'x-raw': _____,
  'x-websocket': ______,
  ...webhook
} = operation

/** Every kind of object in a contract, and what it may hold. */
export const ledger: Record<Kind, Record<string, Field>> = {
  document: {
    openapi: { by: ['docs'], judge: (value) => mustBe(/^3\.1\./.test(String(value)), '3.1.x') },
    info: { by: ['docs'], one: 'info' },
    servers: { by: ['docs'], list: 'server' },
    tags: { by: ['docs'], list: 'tag' },
    externalDocs: docs,
    security: { by: ['routes'], judge: judgeSecurity },
    paths: { by: ['types', 'routes'], map: 'pathItem' },
    webhooks: { by: ['types', 'events'], map: 'webhookItem' },
    components: { by: ['types'], one: 'components' },
  },
  info: {
    ...described,
    title: docs,
    version: docs,
    termsOfService: docs,
    contact: { by: ['docs'], one: 'contact' },
    license: { by: ['docs'], one: 'license' },
  },
  contact: { name: docs, url: docs, email: docs },
  license: { name: docs, url: docs, identifier: docs },
  server: { url: docs, description: docs },
  tag: { name: docs, description: docs, externalDocs: docs },
  pathItem: {
    ...described,
    parameters: { by: ['types', 'decoder'], list: 'parameter' },
    ...Object.fromEntries(
      ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'].map(
        (method): [string, Field] => {
          return [method, { by: ['types', 'routes'], one: 'operation' }]
        },
      ),
    ),
  },
  operation,
  websocket: {
    sends: { by: typed, list: 'schema' },
    receives: { by: typed, list: 'schema' },
  },
  webhookItem: { ...described, post: { by: ['types', 'events'], one: 'webhook' } },
  webhook,
  parameter,
  requestBody: {
    description: docs,
    required: { by: ['types', 'routes'] },
    content: {
      by: ['types', 'routes'],
      map: 'requestMedia',
      judge: mediaJudge(['application/json', 'application/merge-patch+json', '*/*']),
    },
  },
  requestMedia: { schema: { by: typed, one: 'schema' }, ...media },
  response: {
    description: docs,
    headers: { by: ['types', 'routes'], map: 'header' },
    content: {
      by: ['types', 'routes'],
      map: 'replyMedia',
      judge: mediaJudge([
        'application/json',
        'application/problem+json',
        'text/plain',
        'text/event-stream',
      ]),
    },
  },
  replyMedia: { schema: { by: typed, one: 'schema' }, ...media },
  header: {
    description: docs,
    required: { by: ['types'] },
    schema: { by: ['types'], one: 'schema' },
    deprecated: docs,
    example: docs,
  },
  example: { ...described, value: docs },
  schema,
  securityScheme: {
    description: docs,
    type: { by: ['routes'], judge: (value) => mustBe(value === 'http', 'http') },
    scheme: { by: ['routes'], judge: (value) => mustBe(value === 'bearer', 'bearer') },
    bearerFormat: docs,
  },
  components: {
    schemas: { by: typed, map: 'schema' },
    parameters: { by: ['types', 'decoder'], map: 'parameter' },
    headers: { by: ['types', 'routes'], map: 'header' },
    responses: { by: ['types', 'routes'], map: 'response' },
    requestBodies: { by: ['types', 'routes'], map: 'requestBody' },
    examples: { by: ['docs'], map: 'example' },
    securitySchemes: { by: ['routes'], map: 'securityScheme' },
  },
}

/** Words for people who try the usual things that this house does otherwise. */
export const instead: Record<string, string> = {
  allOf: 'write a plain object',
  discriminator: 'give every variant of oneOf a constant tag',
  example: 'use examples',
  nullable: "write type: [string, 'null']",
  readOnly: 'give requests and replies a schema each',
  writeOnly: 'give requests and replies a schema each',
  unevaluatedProperties: 'write a plain object',
  callbacks: 'use webhooks',
}
