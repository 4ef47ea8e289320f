import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Context } from '#context.ts'
import type { Route } from '#generated/routes.ts'
import type { TenantId } from '#ids.ts'
import { type Door, openCallOf } from './admit.ts'
import { createIntake, type Intake, type IntakeLimits, type Place } from './intake.ts'
import type { OpenCall, RawOperation, RawRequest, Spend } from './operation.ts'
import { type Problem, problem } from './problem.ts'

/*
 * What others send in a form of their own comes in here: any media type, any query, and the raw
 * bytes, since those are what was signed. It is answered exactly as the operation says. Whoever sends
 * has no key of ours, so that nothing is counted against a key's quota; what the operation counts
 * itself, once it knows who it is, is counted over all processes. Overload keeps it out as it does
 * any other write.
 *
 * Anybody may send, so that the operation judges the head of a request before its body is read, and
 * what is read at once is bounded over all of them.
 */

/** More than a body of the API may have, since others set the size; the operation may take less. */
const rawBodyBytesMax = 5 * 1024 * 1024

/** What one process takes in at once; the rest is told to come back. */
const intakeLimits: IntakeLimits = { requestsMax: 1_000, bytesMax: 64 * 1024 * 1024 }

/** All raw operations of a server share it. */
const intakes = new WeakMap<Door, Intake>()

/** A request of which only the head has come. */
export type RawHead = Omit<RawRequest, 'body'>

/**
 * Judges a head before anything of the body is read: throws what speaks against the request whatever
 * its body is, and answers to whom it is sent, as far as that can be known by now.
 */
export type JudgeHead = (ctx: Context, call: OpenCall, head: RawHead) => Promise<TenantId>

interface HeadedOperation extends RawOperation {
  judgeHead?: JudgeHead
}

/** The operation, of which `judgeHead` sees each request first. */
export function afterHead(judgeHead: JudgeHead, operation: RawOperation): RawOperation {
  return Object.assign(operation, { judgeHead })
}

export function mountRaw(
  app: FastifyInstance,
  door: Door,
  route: Route,
  handler: HeadedOperation,
): void {
  const intake = intakes.get(door) ?? createIntake(intakeLimits)
  intakes.set(door, intake)
  const spend: Spend = async (tenantId, account, policy) => {
    const holder = { tenantId, key: { id: account } }
    const bucket = { policy, holder: 'key' } as const
    const nowMs = door.ctx.clock.now().getTime()
    return (await door.limiter.take(holder, [bucket], 1, nowMs)).retryAfterMs
  }
  app.route({
    method: route.method,
    url: route.url,
    config: { operation: route },
    bodyLimit: rawBodyBytesMax,
    onRequest: async (request, reply) => {
      door.gate.pass('write')
      const tenantId = await handler.judgeHead?.(
        door.ctx,
        openCallOf(door, request),
        headOf(request),
      )
      const place = intake.enter(tenantId ?? '')
      if (place === undefined) throw tooMuchAtOnce()
      places.set(request, place)
      // A caller that hung up while its head was judged has been told of already.
      if (reply.raw.closed) place.leave()
      else reply.raw.once('close', place.leave)
    },
    preParsing: (request, _reply, payload, done) => {
      const place = places.get(request)
      done(null, place && Readable.from(counted(payload, place), { objectMode: false }))
    },
    handler: async (request, reply) => {
      const call = openCallOf(door, request)
      const answer = await handler(door.ctx, call, rawRequestOf(request), spend)
      const { status, headers = {}, body } = answer
      reply.code(status).headers(headers)
      // An empty text would be sent with a type.
      return reply.send(body === '' ? undefined : body)
    },
  })
}

const places = new WeakMap<FastifyRequest, Place>()

/** The body as it comes, counted; it breaks off, with a refusal, where there is room for no more. */
async function* counted(body: Readable, place: Place): AsyncGenerator<Buffer> {
  // Were it destroyed, its connection would be too, and with it the answer.
  for await (const chunk of body.iterator({ destroyOnReturn: false })) {
    if (!place.hold(chunk.length)) throw tooMuchAtOnce()
    yield chunk
  }
}

function tooMuchAtOnce(): Problem {
  return problem('overloaded', {
    detail: 'Too much is sent to this address at once. Try again in 1 s.',
    headers: { 'retry-after': '1' },
  })
}

const nothing = Buffer.alloc(0)

function rawRequestOf(request: FastifyRequest): RawRequest {
  return { ...headOf(request), body: Buffer.isBuffer(request.body) ? request.body : nothing }
}

function headOf(request: FastifyRequest): RawHead {
  const mark = request.url.indexOf('?')
  return {
    method: request.method === 'POST' ? 'POST' : 'GET',
    path: request.params as Record<string, string>,
    query: new URLSearchParams(mark === -1 ? '' : request.url.slice(mark + 1)),
    headers: singles(request.headers),
  }
}

/** Of the headers that Node keeps apart when they are repeated, what the others would be: joined. */
function singles(headers: IncomingHttpHeaders): Record<string, string | undefined> {
  const entries = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(', ') : value,
  ])
  return Object.fromEntries(entries)
}
