import type { RequestListener } from 'node:http'
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import type { Context } from '#context.ts'
import { problemOf } from '#db/errors.ts'
import type { Route } from '#generated/routes.ts'
import type { ProblemCode } from '#generated/types.ts'
import { createFront, type Front } from './front.ts'
import { answerOptions, stray } from './methods.ts'
import { observeCall } from './metrics.ts'
import { timesGiven } from './origin.ts'
import { Problem, problem, problemBody } from './problem.ts'
import { refuseSocket, urlLengthMax } from './socket.ts'
import { leaveTrails, type NoteCall, trailOf } from './trail.ts'
import { versionedUrl } from './versions.ts'

const bodyBytesMax = 1024 * 1024

/** Longer than Node lets a path be: what a parameter may be is for the contract to say. */
const parameterLengthMax = 64 * 1024

/**
 * The HTTP server with Fastify's quiet defaults off: bodies arrive as raw bytes and are validated
 * by the contract only, replies leave as the bytes that were checked, and every refusal, from the
 * first malformed byte on, is `application/problem+json`. `note` is told of every call once it is
 * answered. Calls come in by `front` from the moment the server is ready.
 */
export function createServer(
  ctx: Context,
  routes: readonly Route[],
  note: NoteCall = () => undefined,
  front: Front = createFront(ctx.clock),
): FastifyInstance {
  let answer: RequestListener = () => undefined
  const app = Fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    requestIdHeader: false,
    genReqId: () => ctx.clock.newId('req'),
    trustProxy: ctx.config.trustProxy,
    rewriteUrl: versionedUrl,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    serverFactory: (house) => {
      answer = house
      return front.server
    },
    routerOptions: { maxParamLength: parameterLengthMax },
    clientErrorHandler: refuseSocket,
    frameworkErrors: (error, request, reply) =>
      refuse(ctx, error, request, reply.headers(standingHeaders(request))),
  })
  app.addHook('onReady', async () => front.open(answer))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, raw, done) => done(null, raw))
  const methodsByUrl = answerOptions(app, routes)
  leaveTrails(app, ctx, note)
  // Hooks that wait for nothing are no promises: each of those would cost every call a turn.
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(standingHeaders(request))
    // Here rather than in the handler, so that a body is not waited for.
    if (request.is404) {
      done(refusalOf(request) ?? stray(methodsByUrl, request.method, pathOf(request)))
    } else done(refusalOf(request))
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (front.isLeaving()) reply.header('connection', 'close')
    done(null, payload)
  })
  app.addHook('onResponse', (request, reply, done) => {
    observeCall(ctx, request, reply)
    done()
  })
  app.addHook('preClose', async () => front.leave())
  // A front that listened before there was a house is not closed by Fastify.
  app.addHook('onClose', async () => {
    await new Promise((resolve) => front.server.close(resolve))
  })
  app.setErrorHandler<Error>((error, request, reply) => refuse(ctx, error, request, reply))
  app.setNotFoundHandler(() => undefined)
  return app
}

/** Any page may call: the key is in a header, which a foreign page does not have. */
const crossOrigin = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': [
    'deprecation',
    'etag',
    'idempotent-replayed',
    'link',
    'location',
    'ratelimit',
    'ratelimit-policy',
    'retry-after',
    'server-timing',
    'sunset',
    'traceparent',
    'x-correlation-id',
    'x-request-id',
  ].join(', '),
}

const sameForAll = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'private, no-cache',
  ...crossOrigin,
}

/** What every answer has. */
function standingHeaders(request: FastifyRequest): Record<string, string> {
  const { correlationId, traceparent } = trailOf(request)
  const headers: Record<string, string> = {
    ...sameForAll,
    'x-request-id': request.id,
    'x-correlation-id': correlationId,
  }
  if (traceparent !== null) headers.traceparent = traceparent
  return headers
}

/** What is wrong with any request that is like this, whatever it asks for. */
function refusalOf(request: FastifyRequest): Problem | undefined {
  return (
    refusalOfHost(request) ??
    (request.url.length > urlLengthMax ? problem('uri_too_long') : undefined)
  )
}

const hostName = /^([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i

/** RFC 9112 §3.2: a request names the host that it calls, once; a name, or an address, and a port. */
function refusalOfHost(request: FastifyRequest): Problem | undefined {
  const times = timesGiven(request, 'host')
  if (times === 1 && hostName.test(request.headers.host ?? '')) return undefined
  const code = times === 0 ? 'required' : 'invalid'
  const message = times === 0 ? 'is required' : 'must be one host name'
  return problem('invalid_request', { errors: [{ header: 'host', code, message }] })
}

/** What Fastify refuses by itself, in the words of the contract. */
const frameworkCodes: Record<string, ProblemCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  // Where there is a body of the contract, its type was refused before (415).
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'invalid_request',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_BAD_URL: 'invalid_request',
  FST_ERR_ASYNC_CONSTRAINT: 'invalid_request',
  FST_ERR_REQ_INVALID_VALIDATION_INVOCATION: 'invalid_request',
}

/** Turns any error into the problem that the caller sees; what is our fault is logged, once. */
function refuse(
  ctx: Context,
  error: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const shown = declaredProblem(request, asProblem(error, request))
  trailOf(request).refusal = shown
  // Without a cause nothing failed: we are busy, or on our way out.
  if (shown.status >= 500 && shown.cause !== undefined) {
    ctx.log.error({ err: error, cause: error.cause, requestId: request.id }, shown.code)
  }
  if (isBodyOnItsWay(request)) leaveUnread(request, reply)
  const challenge = shown.status === 401 ? { 'www-authenticate': 'Bearer' } : {}
  return reply
    .code(shown.status)
    .headers({ ...challenge, ...shown.headers, 'content-type': 'application/problem+json' })
    .send(problemBody(shown, request.id))
}

/** A refusal can come before the parser says that a request without a body is complete. */
function isBodyOnItsWay({ raw: { complete, headers } }: FastifyRequest): boolean {
  const length = headers['content-length'] ?? '0'
  return !complete && (length !== '0' || headers['transfer-encoding'] !== undefined)
}

/** How long a refused caller has to read the answer before we stop listening to its body. */
const lingerMs = 500

/** Answers without having read the body: what still comes of it is not taken. */
function leaveUnread(request: FastifyRequest, reply: FastifyReply): void {
  reply.header('connection', 'close')
  const { socket } = request.raw
  reply.raw.once('finish', () => {
    request.raw.pause()
    setTimeout(() => socket.destroy(), lingerMs).unref()
  })
}

function asProblem(error: FastifyError | Error, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error
  // The caller hung up in the middle of its body; nobody is left to read this.
  if (request.raw.errored === error) return problem('invalid_request')
  const known = frameworkCodes[(error as FastifyError).code]
  if (known) return problem(known, { detail: error.message })
  return problemOf(error) ?? problem('internal_error', { cause: error })
}

/** Refused before there is an operation, whichever it would have been. */
const undeclared = new Set([408, 414, 431])

/** An operation says which statuses it can have; another one is our mistake, not the caller's. */
function declaredProblem(request: FastifyRequest, shown: Problem): Problem {
  const operation = request.routeOptions?.config?.operation
  if (!operation || undeclared.has(shown.status) || operation.statuses.includes(shown.status))
    return shown
  const cause = new Error(`${operation.operationId} does not declare ${shown.status}`, {
    cause: shown,
  })
  return problem('internal_error', { cause })
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?')[0] ?? ''
}
