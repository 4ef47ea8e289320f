import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Observer } from '#audit/observer.ts'
import type { Context } from '#context.ts'
import type { StoredReply } from '#db/envelope.ts'
import { problemOf } from '#db/errors.ts'
import { type Claim, type Tx, transact } from '#db/transact.ts'
import type { Route } from '#generated/routes.ts'
import type { Validate } from '#generated/validate.ts'
import { admit, type Door, type Media, mediaOf } from './admit.ts'
import { parseJson } from './body.ts'
import { channelOf } from './channel.ts'
import { decodeParameters } from './decode.ts'
import { deprecationHeaders } from './deprecation.ts'
import { type FieldError, fieldErrorsOf, type Place } from './field-errors.ts'
import { findReply, fingerprintOf, idempotencyKeyOf, replyPlace } from './idempotency.ts'
import { preferred } from './media.ts'
import type { Call, Handlers, OpenCall, RawOperation } from './operation.ts'
import { Problem, problem } from './problem.ts'
import { mountRaw } from './raw.ts'
import { type Converse, checkReply, type HandlerReply, type Rendered, render } from './reply.ts'
import { isSeen } from './revision.ts'
import { trailOf } from './trail.ts'
import { isUpgrade, upgrade } from './websocket.ts'

/*
 * A *call* runs through here: route → key → scopes → limit → media type → validate → handle →
 * check → send. A write's handler queues on one transaction, which commits its rows, events, audit
 * entries and the stored reply together; a reply that the contract refuses never commits.
 */

declare module 'fastify' {
  interface FastifyRequest {
    call: OpenCall | Call | undefined
  }
  interface FastifyContextConfig {
    operation?: Route
  }
}

interface DecodedRequest {
  path: Record<string, unknown>
  query: Record<string, unknown>
  headers: Record<string, unknown>
  body?: unknown
  isUpgrade?: boolean
}

type AnyHandler = (
  ctx: Context,
  call: OpenCall | Call,
  request: DecodedRequest,
  store: unknown,
) => Promise<HandlerReply>

/** Of the replies of reads, this share is held against the contract in production. */
const readsCheckedShare = 0.01

/** Puts operations of the contract on the server. */
export function mount(
  app: FastifyInstance,
  door: Door,
  routes: readonly Route[],
  handlers: Handlers,
): void {
  app.decorateRequest('call', undefined)
  for (const route of routes) {
    if (route.isRaw) {
      mountRaw(app, door, route, handlers[route.operationId] as unknown as RawOperation)
      continue
    }
    // The table binds each id to its own handler; here, where all meet, the types are the union.
    const handler = handlers[route.operationId] as unknown as AnyHandler
    const media = mediaOf(route)
    const notice = deprecationHeaders(route.deprecation)
    const isConditional = route.statuses.includes(304)
    app.route({
      method: route.method,
      url: route.url,
      config: { operation: route },
      onRequest: async (request, reply) => {
        reply.headers(notice)
        request.call = await admit(door, route, media, request, reply)
      },
      handler: async (request, reply) => {
        const rendered = await serve(door, route, handler, request)
        const { converse } = rendered
        if (converse) return goOn(door, route, request, reply.headers(rendered.headers), converse)
        return send(request, reply, media, isConditional, rendered)
      },
    })
  }
}

const nothing = Buffer.alloc(0)

async function serve(
  { ctx, observer }: Door,
  route: Route,
  handler: AnyHandler,
  request: FastifyRequest,
): Promise<Rendered> {
  const raw = Buffer.isBuffer(request.body) ? request.body : nothing
  const decoded = decode(route, request, raw)
  const call = request.call as Call
  if (route.kind === 'read') {
    const store = route.scopes === null ? undefined : ctx.db.readers.of(call.tenantId)
    const answer = await handler(ctx, call, decoded, store)
    if (mustCheck(ctx)) checkReply(route, answer)
    if (route.auditedRead) observeRead(observer, route, route.auditedRead, call, decoded)
    return render(route, answer, request.url)
  }
  const write: Write = { ctx, route, call, url: request.url, observer }
  return await perform(write, handler, decoded, raw)
}

/** Writes down that something confidential was read, and which part of it was asked for. */
function observeRead(
  observer: Observer,
  { operationId }: Route,
  action: string,
  call: Call,
  { path, query: { cursor: _, ...query } }: DecodedRequest,
): void {
  const resourceId = Object.values(path).at(-1)
  const details = { operation: operationId, ...(Object.keys(query).length > 0 ? { query } : {}) }
  observer.read(call, action, resourceId === undefined ? null : String(resourceId), details)
}

function mustCheck({ config }: Context): boolean {
  return config.profile === 'development' || Math.random() < readsCheckedShare
}

function send(
  request: FastifyRequest,
  reply: FastifyReply,
  { answers }: Media,
  isConditional: boolean,
  { status, headers, body }: Rendered,
): FastifyReply {
  const successor = reply.getHeader('link')
  reply.code(status).headers(headers)
  if (body instanceof Readable) return sendStream(request, reply, body)
  if (successor && headers.link) reply.header('link', `${headers.link}, ${successor}`)
  const asked = request.headers
  if (isConditional && isSeen(asked['if-none-match'], headers.etag)) {
    return reply.code(304).removeHeader('content-type').send()
  }
  // The first is what the reply was written as; the others are other names of the same bytes.
  const wanted = preferred(asked.accept, answers)
  if (body.length > 0 && wanted !== undefined && wanted !== answers[0]) {
    reply.header('content-type', `${wanted}; charset=utf-8`)
  }
  return reply.send(body.length === 0 ? undefined : body)
}

/** Answers 101; what is said from then on is no call any more. */
function goOn(
  { ctx }: Door,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
  converse: Converse,
): FastifyReply {
  const socket = upgrade(request, reply)
  const fail = (error: unknown) => {
    ctx.log.error({ err: error, requestId: request.id }, 'a WebSocket could not go on')
    socket?.close(1011, 'FAILED')
  }
  converse(channelOf(socket, { route, mustCheck: mustCheck(ctx), fail })).catch(fail)
  return reply
}

/** What goes on for hours is no call under way: it takes no place among those. */
function sendStream(request: FastifyRequest, reply: FastifyReply, stream: Readable): FastifyReply {
  trailOf(request).leave?.()
  // Once it has ended nothing follows on its connection, so that nobody waits for that.
  reply.header('connection', 'close')
  // Given nothing instead, Fastify would say that it is empty.
  if (request.method === 'HEAD') stream.destroy()
  return reply.send(stream)
}

/** Parameters and body by the contract; throws the first refusal, which names its field. */
function decode(route: Route, request: FastifyRequest, raw: Buffer): DecodedRequest {
  const mark = request.url.indexOf('?')
  const parameters = decodeParameters(route.parameters, {
    path: request.params as Record<string, string>,
    rawQuery: mark === -1 ? '' : request.url.slice(mark + 1),
    headers: request.headers,
  })
  if (!parameters.ok) throw refusal(parameters.errors)
  const { path, query, headers } = parameters
  const { validate } = route
  requireFit('path', validate.path, path)
  requireFit('query', validate.query, query)
  requireFit('header', validate.headers, headers)
  const decoded = { path, query, headers, body: decodeBody(route, raw) }
  return route.websocket === null ? decoded : { ...decoded, isUpgrade: isUpgrade(request) }
}

function requireFit(place: Place, check: Validate | null, value: unknown): void {
  if (check && !check(value)) throw refusal(fieldErrorsOf(place, check.errors ?? []))
}

function decodeBody(route: Route, raw: Buffer): unknown {
  if (route.body === null) return undefined
  if (raw.length === 0) {
    if (!route.body.isRequired) return undefined
    throw refusal([{ pointer: '', code: 'required', message: 'is required' }])
  }
  const body = parseJson(raw)
  requireFit('body', route.validate.body, body)
  return body
}

/** The problem of a request that does not fit; a missing idempotency key has a code of its own. */
function refusal(errors: readonly FieldError[]): Problem {
  const isKeyMissing = errors.some(
    ({ header, code }) => header?.toLowerCase() === 'idempotency-key' && code === 'required',
  )
  if (isKeyMissing) return problem('idempotency_key_required', { errors })
  const isUnknown = errors.every(({ parameter, code }) => parameter && code === 'unknown_field')
  const code = isUnknown ? 'unknown_parameter' : 'invalid_request'
  const [first] = errors
  const where = first?.pointer || first?.parameter || first?.header || 'The body'
  const detail = first && `${where} ${first.message}.`
  return problem(code, { errors, ...(detail === undefined ? {} : { detail }) })
}

interface Write {
  ctx: Context
  route: Route
  call: Call
  url: string
  observer: Observer
}

/**
 * Runs a write in its transaction, under its key when it has one. What the key already stands for
 * comes first: a refusal of the handler, a clash, or an unknown commit is looked up under the key.
 */
async function perform(
  write: Write,
  handler: AnyHandler,
  decoded: DecodedRequest,
  raw: Buffer,
): Promise<Rendered> {
  const { ctx, route, call, url, observer } = write
  const key = route.idempotency && idempotencyKeyOf(decoded.headers['idempotency-key'])
  const work = async (tx: Tx) => {
    const answer = await handler(ctx, call, decoded, tx)
    checkReply(route, answer)
    // Who changed it would not be known: such a change is our mistake, and never commits.
    if (tx.isUnrecorded()) throw new Error(`${route.operationId} changes what it does not record`)
    return render(route, answer, url)
  }
  if (!key) return await transact(ctx, call.tenantId, work)
  const fingerprint = fingerprintOf(route, call.key.id, url, raw)
  const keep = (reply: Rendered) => kept(write, key, reply)
  const claim: Claim<Rendered> = { key, fingerprint, now: call.now, keep }
  try {
    return await transact(ctx, call.tenantId, work, claim)
  } catch (error) {
    const earlier = mayBeKept(error)
      ? await findReply(ctx, call.tenantId, key, fingerprint, call.now).catch((unfound) =>
          throwSurer(error, unfound),
        )
      : undefined
    if (earlier === undefined) throw error
    if (earlier.isSealed)
      observer.read(call, 'secret.replayed', null, { operation: route.operationId })
    return { ...earlier, headers: { ...earlier.headers, 'idempotent-replayed': 'true' } }
  }
}

/** A reply as it is kept: sealed when there is a secret in it. */
function kept(write: Write, key: string, reply: Rendered): StoredReply {
  // A write never answers a stream.
  const bytes = Buffer.from(reply.body as string)
  if (!write.route.replies[reply.status]?.isSensitive) return { ...reply, body: bytes }
  const { secrets } = write.ctx
  const body = secrets.seal(replyPlace(write.call.tenantId, key), bytes)
  return { ...reply, body, isSealed: true }
}

/**
 * The key could not be looked up. A refusal may then be the echo of the call's own earlier success,
 * and is not told: the caller comes back. A failure stays what it was.
 */
function throwSurer(error: unknown, unfound: unknown): never {
  if (unfound instanceof Problem) throw unfound
  const shown = shownAs(error)
  throw shown !== undefined && shown.status < 500 ? unfound : error
}

/** Whether the key may stand for an earlier, finished call in spite of this error. */
function mayBeKept(error: unknown): boolean {
  const shown = shownAs(error)
  return shown !== undefined && shown.code !== 'idempotency_in_progress'
}

function shownAs(error: unknown): Problem | undefined {
  return error instanceof Problem ? error : problemOf(error)
}
