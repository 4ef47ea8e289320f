import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Route } from '#generated/routes.ts'
import { type Door, openCallOf } from './admit.ts'
import type { RawOperation, RawRequest, Spend } from './operation.ts'

/*
 * What others send in a form of their own comes in here: any media type, any query, and the raw
 * bytes, since those are what was signed. It is answered exactly as the operation says. Whoever sends
 * has no key of ours, so that nothing is counted against a key's quota; what the operation counts
 * itself, once it knows who it is, is counted over all processes. Overload keeps it out as it does
 * any other write.
 */

/** More than a body of the API may have, since others set the size; the operation may take less. */
export const rawBodyBytesMax = 5 * 1024 * 1024

export function mountRaw(
  app: FastifyInstance,
  door: Door,
  route: Route,
  handler: RawOperation,
): void {
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
    onRequest: async () => door.gate.pass('write'),
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

const nothing = Buffer.alloc(0)

function rawRequestOf(request: FastifyRequest): RawRequest {
  const mark = request.url.indexOf('?')
  return {
    method: request.method === 'POST' ? 'POST' : 'GET',
    path: request.params as Record<string, string>,
    query: new URLSearchParams(mark === -1 ? '' : request.url.slice(mark + 1)),
    headers: singles(request.headers),
    body: Buffer.isBuffer(request.body) ? request.body : nothing,
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
