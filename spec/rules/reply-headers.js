import { bodySchemas, child, eachOperation, repliesOf, report } from './walk.js'

const always = ['X-Request-Id', 'X-Correlation-Id', 'traceparent', 'Server-Timing']
const byStatus = {
  201: ['Location'],
  401: ['WWW-Authenticate'],
  429: ['Retry-After'],
  503: ['Retry-After'],
}

/**
 * Every reply declares the headers that it comes with: how to name it to us, where the new thing
 * is, when to try again, and the `ETag` of whatever has a revision.
 */
export const replyHeaders = () =>
  eachOperation((operation, ctx) => {
    const writes = operation.method !== 'get' && !operation.node['x-raw']
    for (const [status, reply] of repliesOf(ctx, operation)) {
      const needed = [
        ...always,
        ...(byStatus[status] ?? []),
        ...(writes && status.startsWith('2') ? ['Idempotent-Replayed'] : []),
        ...(status.startsWith('2') && hasRevision(ctx, reply) ? ['ETag'] : []),
      ]
      const missing = needed.filter((name) => !reply.node?.headers?.[name])
      if (missing.length === 0) continue
      report(ctx, reply.location, `${status} does not declare ${missing.join(', ')}.`)
    }
  })

function hasRevision(ctx, reply) {
  return bodySchemas(ctx, reply).some((schema) => child(ctx, schema, 'properties', 'revision').node)
}
