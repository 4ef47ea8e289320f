import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Observer } from '#audit/observer.ts'
import type { Context } from '#context.ts'
import type { Route, Scope } from '#generated/routes.ts'
import { operatorTenantId } from '#ids.ts'
import type { Concurrency } from './concurrency.ts'
import { concurrentPolicy, quotasFor, restsText } from './limit.ts'
import type { Limiter } from './limiter.ts'
import { contentTypeOf, preferred } from './media.ts'
import type { Actor, Authenticate, Call, Cause, OpenCall, Principal } from './operation.ts'
import { isLocal, timesGiven } from './origin.ts'
import type { Gate } from './pressure-gauge.ts'
import { Problem, problem } from './problem.ts'
import { covers } from './scopes.ts'
import { trailOf } from './trail.ts'
import { vendorTypeOf } from './versions.ts'

/** What stands at the door of every operation. */
export interface Door {
  ctx: Context
  authenticate: Authenticate
  limiter: Limiter
  concurrency: Concurrency
  gate: Gate
  observer: Observer
  /** Whether the process is about to stop. */
  isLeaving(): boolean
}

/**
 * Lets a request in or throws, in the order that the contract promises: who are you (401), may you
 * (403), not so fast (429, 503), can we talk (406, 415). Runs before a byte of the body is read.
 */
export async function admit(
  door: Door,
  route: Route,
  media: Media,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<OpenCall | Call> {
  if (route.scopes === null) {
    requireMedia(route, media, request)
    return openCallOf(door, request)
  }
  const cause = causeOf(door, request)
  const bearer = bearerOf(request)
  if (bearer === undefined) {
    throw problem('unauthorized', { detail: 'Send your API key as Authorization: Bearer <key>.' })
  }
  const principal = await identify(door, route, request, cause, bearer)
  trailOf(request).leave = await requireQuota(door, route, principal, cause.now, reply)
  requireMedia(route, media, request)
  const isStillLetIn = () => mayGoOn(door, route, bearer, cause.ip)
  return { ...principal, ...cause, actor: actorOf(principal), isStillLetIn }
}

function causeOf({ ctx }: Door, request: FastifyRequest): Omit<Cause, 'actor'> {
  const { correlationId, traceparent, ip } = trailOf(request)
  return { now: ctx.clock.now(), requestId: request.id, correlationId, traceparent, ip }
}

/** The call of a request that needs no key. */
export function openCallOf(door: Door, request: FastifyRequest): OpenCall {
  const [bearer, isLeaving] = [bearerOf(request), door.isLeaving()]
  return { ...causeOf(door, request), bearer, isLocal: isLocal(request), isLeaving }
}

/** Whom the key speaks for, when it may do this; a key that is refused is written down. */
async function identify(
  { authenticate, observer }: Door,
  route: Route,
  request: FastifyRequest,
  cause: Omit<Cause, 'actor'>,
  secret: string,
): Promise<Principal> {
  let principal: Principal | undefined
  try {
    const { ip, now } = cause
    principal = await authenticate({ secret, operationId: route.operationId, ip, now })
    trailOf(request).principal = principal
    requireScopes(route.scopes ?? [], principal.key.scopes)
    return principal
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
      const { code, principal: known = principal } = error
      observer.refused(cause, { code, operation: route.operationId, principal: known })
    }
    throw error
  }
}

function actorOf({ tenantId, key }: Principal): Actor {
  return { type: tenantId === operatorTenantId ? 'OPERATOR' : 'API_KEY', id: key.id }
}

function bearerOf(request: FastifyRequest): string | undefined {
  return /^bearer +([^ ]+)$/i.exec(onlyOf(request, 'authorization') ?? '')?.[1]
}

function requireScopes(needed: readonly Scope[], held: readonly Scope[]): void {
  if (needed.every((scope) => covers(held, scope))) return
  const missing = needed.filter((scope) => !covers(held, scope))
  throw problem('insufficient_scope', { detail: `The key lacks the scope ${missing.join(', ')}.` })
}

/** Whether a call that was let in would be once more; what cannot be looked up is as it was. */
async function mayGoOn(
  { authenticate, ctx }: Door,
  { operationId, scopes }: Route,
  secret: string,
  ip: string | null,
): Promise<boolean> {
  try {
    const now = ctx.clock.now()
    const { key } = await authenticate({ secret, operationId, ip, now, isRepeated: true })
    return (scopes ?? []).every((scope) => covers(key.scopes, scope))
  } catch (error) {
    return !(error instanceof Problem && (error.status === 401 || error.status === 403))
  }
}

/**
 * Counts the call; throws `overloaded`, `quota_exceeded`. What is left is told where it is known.
 * Answers how to give its place among the calls under way back before it ends.
 */
async function requireQuota(
  { limiter, concurrency, gate }: Door,
  route: Route,
  principal: Principal,
  now: Date,
  reply: FastifyReply,
): Promise<() => void> {
  const { buckets, concurrent, text } = quotasFor(route, principal.limits)
  reply.header('ratelimit-policy', text)
  // Whom we cannot serve pays nothing for it.
  gate.pass(route.kind)
  const leave = concurrency.enter(principal.tenantId, concurrent)
  if (leave === undefined) throw quotaExceeded([concurrentPolicy], 1_000)
  // A caller that hung up while its key was looked up has been told of already.
  if (reply.raw.closed) leave()
  else reply.raw.once('close', leave)
  const taken = await limiter.take(principal, buckets, route.cost, now.getTime())
  reply.header('ratelimit', restsText(taken.rests))
  if (taken.violated.length > 0) throw quotaExceeded(taken.violated, taken.retryAfterMs)
  return leave
}

export function quotaExceeded(violatedPolicies: readonly string[], waitMs: number): Problem {
  const seconds = Math.ceil(waitMs / 1_000)
  return problem('quota_exceeded', {
    detail: `Too much at once by ${violatedPolicies.join(', ')}: go on in ${seconds} s.`,
    headers: { 'retry-after': String(seconds) },
    violatedPolicies,
  })
}

function requireMedia(route: Route, media: Media, request: FastifyRequest): void {
  const { answers, takes } = media
  if (answers.length > 0 && preferred(request.headers.accept, answers) === undefined) {
    throw problem('not_acceptable', { detail: `This is answered as ${answers.join(' or ')}.` })
  }
  if (!hasBody(request)) return
  if (route.body === null) {
    if (route.kind === 'read') return
    const errors = [{ pointer: '', code: 'unexpected', message: 'must not have a body' }]
    throw problem('invalid_request', { detail: 'This takes no body.', errors })
  }
  const coding = request.headers['content-encoding'] || 'identity'
  if (coding.toLowerCase() !== 'identity') {
    throw problem('unsupported_media_type', { detail: 'Send the body without a Content-Encoding.' })
  }
  const mediaType = contentTypeOf(onlyOf(request, 'content-type'))
  if (mediaType === undefined || !takes.includes(mediaType)) {
    throw problem('unsupported_media_type', { detail: `Send the body as ${takes.join(' or ')}.` })
  }
}

/** The media types of an operation, those with the version in their name included. */
export interface Media {
  answers: readonly string[]
  takes: readonly string[]
}

export function mediaOf(route: Route): Media {
  const declared = Object.entries(route.replies).flatMap(([status, { mediaType }]) =>
    mediaType !== null && Number(status) < 400 ? [mediaType] : [],
  )
  // Who gets nothing when all goes well must be able to read why it did not.
  const answers = declared.length > 0 ? declared : ['application/problem+json', 'application/json']
  return {
    answers: withVendorType(route, [...new Set(answers)]),
    takes: withVendorType(route, route.body?.mediaTypes ?? []),
  }
}

function withVendorType({ path }: Route, mediaTypes: readonly string[]): readonly string[] {
  const vendorType = mediaTypes.includes('application/json') ? vendorTypeOf(path) : undefined
  return vendorType === undefined ? mediaTypes : [...mediaTypes, vendorType]
}

/** A header that stands once. */
function onlyOf(request: FastifyRequest, name: 'authorization' | 'content-type') {
  return timesGiven(request, name) === 1 ? request.headers[name] : undefined
}

/** Whether the request announces a body (RFC 9112 §6). */
function hasBody(request: FastifyRequest): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  return coding !== undefined || (length !== undefined && length !== '0')
}
