import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifySchema,
  type RouteHandler,
} from 'fastify'

/*
 * What one would write with Fastify alone: its own validation (ajv, compiled at start) of path, query,
 * headers and body, its own serialisation (fast-json-stringify) of every declared reply. Each
 * operation has schemas of its own: shared by name (`addSchema`), all of them are gone through for
 * each reply, and a hundred operations take more than ten times as long to start. No key, no quota, no account of calls, no log line, problems only by their status.
 */

interface Schema {
  [keyword: string]: unknown
}

interface OpenApiParameter {
  in: 'path' | 'query' | 'header'
  name: string
  required?: boolean
  schema: Schema
}

interface OpenApiOperation {
  operationId: string
  parameters?: (OpenApiParameter | { $ref: string })[]
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> }
  responses: Record<string, { $ref?: string; content?: Record<string, { schema: Schema }> }>
}

export interface OpenApi {
  paths: Record<string, Record<string, OpenApiOperation>>
  components: Record<string, Record<string, unknown>>
}

const methods = ['get', 'post', 'put', 'patch', 'delete'] as const

/** A server with every operation of a contract; `handlers` by operationId, the others answer 501. */
export function nativeServer(
  document: OpenApi,
  handlers: Record<string, RouteHandler>,
): FastifyInstance {
  const app = Fastify({
    // Closed bodies refuse what they do not know instead of dropping it; our keywords are no error.
    ajv: { customOptions: { removeAdditional: false, strict: false, validateFormats: true } },
  })
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const status = error.statusCode ?? 500
    const code = status < 500 ? 'invalid_request' : 'internal_error'
    const type = `/problems/${code}`
    reply.code(status).type('application/problem+json')
    return reply.send({
      type,
      title: code,
      status,
      detail: error.message,
      code,
      requestId: request.id,
    })
  })
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of methods) {
      const operation = item[method]
      if (operation === undefined) continue
      app.route({
        method: method.toUpperCase(),
        url: path.replaceAll(/\{(\w+)\}/g, ':$1'),
        schema: schemaOf(document, operation),
        handler:
          handlers[operation.operationId] ?? (async (_request, reply) => reply.code(501).send()),
      })
    }
  }
  return app
}

function schemaOf(document: OpenApi, operation: OpenApiOperation): FastifySchema {
  const parameters = (operation.parameters ?? []).map((parameter) =>
    resolve<OpenApiParameter>(document, parameter),
  )
  const place = (where: OpenApiParameter['in']) => {
    const own = parameters.filter((parameter) => parameter.in === where)
    const nameOf = ({ name }: OpenApiParameter) => (where === 'header' ? name.toLowerCase() : name)
    return {
      type: 'object',
      required: own.filter(({ required }) => required).map(nameOf),
      properties: Object.fromEntries(own.map((one) => [nameOf(one), whole(document, one.schema)])),
      ...(where === 'query' ? { additionalProperties: false } : {}),
    }
  }
  const responses = Object.entries(operation.responses).flatMap(([status, response]) => {
    const { content } = resolve<{ content?: Record<string, { schema: Schema }> }>(
      document,
      response,
    )
    const [media] = Object.values(content ?? {})
    return media === undefined ? [] : [[status, whole(document, media.schema)]]
  })
  const [body] = Object.values(operation.requestBody?.content ?? {})
  return {
    params: place('path'),
    querystring: place('query'),
    headers: place('header'),
    ...(body === undefined ? {} : { body: whole(document, body.schema) }),
    response: Object.fromEntries(responses),
  }
}

function resolve<Target>(document: OpenApi, value: object): Target {
  if (!('$ref' in value)) return value as Target
  const [, , kind = '', name = ''] = String(value.$ref).split('/')
  return document.components[kind]?.[name] as Target
}

/**
 * The same schema with what it refers to in place of each reference. Where something holds itself,
 * as rules of filters do, anything goes within: no such operation is measured.
 */
function whole(document: OpenApi, schema: unknown, within: readonly string[] = []): unknown {
  return JSON.parse(JSON.stringify(schema), (_key, value) => {
    const isReference = typeof value === 'object' && value !== null && '$ref' in value
    if (!isReference) return value
    const target = String(value.$ref)
    if (within.includes(target)) return {}
    return whole(document, resolve(document, value), [...within, target])
  })
}
