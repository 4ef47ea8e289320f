import type { FastifyInstance } from 'fastify'
import type { Route } from '#generated/routes.ts'
import { type Problem, problem } from './problem.ts'

/** The methods of each path of the contract, by its URL as the router writes it. */
export type MethodsByUrl = ReadonlyMap<string, ReadonlySet<string>>

const allowedHeaders =
  'accept, authorization, content-type, idempotency-key, if-match, if-none-match, ' +
  'last-event-id, traceparent, x-correlation-id'

/** Answers OPTIONS on every path of the contract; says which methods each has. */
export function answerOptions(app: FastifyInstance, routes: readonly Route[]): MethodsByUrl {
  const methodsByUrl = new Map<string, Set<string>>()
  for (const { url, method } of routes) {
    const methods = methodsByUrl.get(url) ?? new Set(['OPTIONS'])
    methods.add(method)
    if (method === 'GET') methods.add('HEAD')
    methodsByUrl.set(url, methods)
  }
  for (const [url, methods] of methodsByUrl) {
    const allow = allowOf(methods)
    app.options(url, (_request, reply) =>
      reply
        .code(204)
        .headers({
          allow,
          'access-control-allow-methods': allow,
          'access-control-allow-headers': allowedHeaders,
          'access-control-max-age': '86400',
        })
        .send(),
    )
  }
  return methodsByUrl
}

const allowOf = (methods: ReadonlySet<string>): string => [...methods].sort().join(', ')

/** 405 with `Allow` for a path of the contract that does not know the method, or else 404. */
export function stray(methodsByUrl: MethodsByUrl, method: string, path: string): Problem {
  for (const [url, methods] of methodsByUrl) {
    if (methods.has(method) || !leadsTo(url, path)) continue
    const allow = allowOf(methods)
    return problem('method_not_allowed', { detail: `Use ${allow}.`, headers: { allow } })
  }
  return problem('route_not_found', { detail: `Nothing is at ${path.slice(0, 200)}.` })
}

/** Whether a path is one of `url`, in which `:name` stands for any one step. */
function leadsTo(url: string, path: string): boolean {
  const [steps, given] = [url.split('/'), path.split('/')]
  if (steps.length !== given.length) return false
  return steps.every((step, at) => step.startsWith(':') || step === given[at])
}
