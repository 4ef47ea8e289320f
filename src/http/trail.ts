import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '#context.ts'
import type { Route } from '#generated/routes.ts'
import type { ProblemCode } from '#generated/types.ts'
import { type Id, operatorTenantId, type TenantId } from '#ids.ts'
import type { Principal } from './operation.ts'
import { correlationIdOf, ipOf } from './origin.ts'
import type { Problem } from './problem.ts'
import { traceparentOf } from './trace.ts'

/*
 * A request leaves a *trail*: when it was where, who it turned out to be, how it was refused, what
 * was sent. From it come the `Server-Timing` of the answer and, once that has gone out, the
 * *finished call* that those are told who keep account.
 */

declare module 'fastify' {
  interface FastifyRequest {
    trail: Trail | undefined
  }
}

/** Moments are by `performance.now()`; undefined where the request did not get. */
export interface Trail {
  receivedMs: number
  /** What the caller calls the whole of it, and the trace that it is part of. */
  readonly correlationId: string
  readonly traceparent: string | null
  readonly ip: string | null
  /** The door is behind it: from here on the body is read. */
  admittedMs: number | undefined
  /** The body is there: from here on it is worked on. */
  handledFromMs: number | undefined
  answeredMs: number | undefined
  /** Whose key it was, also where that key was refused. */
  principal: Principal | undefined
  refusal: Problem | undefined
  reply: FastifyReply | undefined
  /** Gives back its place among the calls under way; more than once does no harm. */
  leave: (() => void) | undefined
  sent: unknown
  /** Whether somebody was told of the call: its end has several signs. */
  isNoted: boolean
}

/** A call that was answered, for those who keep account of it. Times in ms, sizes in bytes. */
export interface FinishedCall {
  readonly id: Id<'req'>
  /** The reserved tenant where nobody is known. */
  readonly tenantId: TenantId
  readonly apiKeyId: Id<'key'> | null
  /** Whether it passed the door: key, scopes, quota and media type. */
  readonly isAdmitted: boolean
  readonly finishedAtMs: number
  /** Undefined where no operation has this path and method. */
  readonly operation: Route | undefined
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly status: number
  readonly code: ProblemCode | null
  readonly durationMs: number
  readonly authMs: number | null
  readonly handlerMs: number | null
  readonly requestBytes: number
  readonly responseBytes: number
  readonly limitState: string | null
  readonly isReplay: boolean
  readonly correlationId: string
  readonly ip: string | null
  readonly userAgent: string | null
}

/** The bodies of a call, as they came and went. */
export interface Bodies {
  readonly request: Buffer | undefined
  readonly response: Buffer | string | undefined
}

export type NoteCall = (call: FinishedCall, bodies: Bodies) => void

/** Keeps account of answered calls, off their path. */
export interface Account {
  note: NoteCall
  /** Writes what waits, for at most so long. */
  stop(drainMs: number): Promise<void>
}

export function trailOf(request: FastifyRequest): Trail {
  request.trail ??= {
    receivedMs: performance.now(),
    correlationId: correlationIdOf(request),
    traceparent: traceparentOf(request),
    ip: ipOf(request),
    admittedMs: undefined,
    handledFromMs: undefined,
    answeredMs: undefined,
    principal: undefined,
    refusal: undefined,
    reply: undefined,
    leave: undefined,
    sent: undefined,
    isNoted: false,
  }
  return request.trail
}

/**
 * Lets every request leave its trail, puts what it says of time on every answer, and tells `note` of
 * the call once: when its answer has gone out, or its caller.
 */
export function leaveTrails(
  app: FastifyInstance,
  ctx: Pick<Context, 'clock'>,
  note: NoteCall,
): void {
  const end = (request: FastifyRequest): void => {
    const trail = trailOf(request)
    const { isNoted, reply } = trail
    if (isNoted || reply === undefined || !isAccountable(request)) return
    trail.isNoted = true
    note(finishedCall(ctx, request, reply), bodiesOf(request))
  }
  app.decorateRequest('trail', undefined)
  app.addHook('onRequest', (request, reply, done) => {
    trailOf(request).reply = reply
    done()
  })
  app.addHook('preParsing', (request, _reply, payload, done) => {
    trailOf(request).admittedMs = performance.now()
    done(null, payload)
  })
  app.addHook('preHandler', (request, _reply, done) => {
    trailOf(request).handledFromMs = performance.now()
    done()
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    stamp(request, reply)
    trailOf(request).sent = payload
    done(null, payload)
  })
  app.addHook('onResponse', (request, _reply, done) => {
    end(request)
    done()
  })
  app.addHook('onRequestAbort', (request, done) => {
    end(request)
    done()
  })
}

/** The answer goes out now. */
export function stamp(request: FastifyRequest, reply: FastifyReply): void {
  const trail = trailOf(request)
  trail.answeredMs = performance.now()
  reply.header('server-timing', serverTiming(request, trail))
}

function serverTiming(request: FastifyRequest, trail: Trail): string {
  const { receivedMs, answeredMs = receivedMs } = trail
  const { authMs, handlerMs } = partsOf(request, trail)
  let text = `total;dur=${(answeredMs - receivedMs).toFixed(1)}`
  if (authMs !== null) text += `, auth;dur=${authMs.toFixed(1)}`
  if (handlerMs !== null) text += `, handler;dur=${handlerMs.toFixed(1)}`
  return text
}

/** Where no operation is met there is no door and no work. */
function partsOf(request: FastifyRequest, trail: Trail) {
  if (operationOf(request) === undefined) return { authMs: null, handlerMs: null }
  const { receivedMs, admittedMs, handledFromMs, answeredMs: endedMs = performance.now() } = trail
  return {
    authMs: (admittedMs ?? endedMs) - receivedMs,
    handlerMs: handledFromMs === undefined ? null : endedMs - handledFromMs,
  }
}

function operationOf(request: FastifyRequest): Route | undefined {
  return request.routeOptions?.config?.operation
}

/**
 * Whether account is kept of a request: of operations but for the probes, and of what found none;
 * not of the docs, nor of browsers that ask which methods there are.
 */
function isAccountable(request: FastifyRequest): boolean {
  const operation = operationOf(request)
  if (operation !== undefined) return operation.tag !== 'operations'
  return request.is404 || request.routeOptions?.url === undefined
}

/** How long a call took; of a stream, which goes on as long as it is read, until it began. */
export function elapsedMs(request: FastifyRequest, reply: FastifyReply): number {
  const { sent, receivedMs, answeredMs } = trailOf(request)
  const goesOn = sent instanceof Readable || reply.statusCode === 101
  return goesOn && answeredMs !== undefined ? answeredMs - receivedMs : reply.elapsedTime
}

/** A millisecond has a thousand parts here, in the log and in the figures alike. */
const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000

/** The caller was gone before there was an answer; this number is nginx's for it. */
const hungUp = 499

/** What there is to tell about a request that has come to its end. */
export function finishedCall(
  { clock }: Pick<Context, 'clock'>,
  request: FastifyRequest,
  reply: FastifyReply,
): FinishedCall {
  const trail = trailOf(request)
  const { authMs, handlerMs } = partsOf(request, trail)
  const operation = operationOf(request)
  const principal = trail.principal ?? trail.refusal?.principal
  return {
    id: request.id as Id<'req'>,
    tenantId: principal?.tenantId ?? operatorTenantId,
    apiKeyId: principal?.key.id ?? null,
    isAdmitted: request.call !== undefined,
    finishedAtMs: clock.now().getTime(),
    operation,
    method: request.method,
    path: operation?.path ?? request.url.split('?', 1)[0] ?? '',
    status: trail.answeredMs === undefined ? hungUp : reply.statusCode,
    code: trail.refusal?.code ?? null,
    durationMs: rounded(elapsedMs(request, reply)),
    authMs: authMs === null ? null : rounded(authMs),
    handlerMs: handlerMs === null ? null : rounded(handlerMs),
    requestBytes: Buffer.isBuffer(request.body) ? request.body.length : 0,
    responseBytes: request.method === 'HEAD' ? 0 : sizeOf(trail.sent),
    limitState: textOf(reply.getHeader('ratelimit')),
    isReplay: reply.hasHeader('idempotent-replayed'),
    correlationId: trail.correlationId,
    ip: trail.ip,
    userAgent: textOf(request.headers['user-agent']),
  }
}

/**
 * The bodies of a request that has come to its end, as far as there are any. What others send is for
 * the tenant that they send it to, while calls without a key are the operators' to read.
 */
export function bodiesOf(request: FastifyRequest): Bodies {
  if (operationOf(request)?.isRaw) return { request: undefined, response: undefined }
  const { sent } = trailOf(request)
  return {
    request: Buffer.isBuffer(request.body) ? request.body : undefined,
    response: typeof sent === 'string' || Buffer.isBuffer(sent) ? sent : undefined,
  }
}

function sizeOf(sent: unknown): number {
  if (typeof sent === 'string') return Buffer.byteLength(sent)
  return Buffer.isBuffer(sent) ? sent.length : 0
}

const textOf = (header: unknown): string | null => (typeof header === 'string' ? header : null)
