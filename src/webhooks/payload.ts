import type { Context } from '#context.ts'
import { problem } from '#http/problem.ts'
import { gather } from '#jobs/gather.ts'
import type { Claimed } from './claim.sql.ts'
import type { Untransformed } from './dispatch.ts'
import { findPayloads, keepBodies, type MadeBody } from './payload.sql.ts'
import { transformer } from './transformer.ts'

/** Deliveries looked up, or bodies kept, in one statement. */
const batchMax = 100

/**
 * Finds what is sent for deliveries of endpoints that have, or had, a transformation. What is made of an
 * event is made once, by the expression as it is then, and kept before it is sent: every retry sends
 * the same bytes, whatever becomes of the expression.
 */
export function createPayloads({
  db,
}: Pick<Context, 'db'>): (claimed: Claimed) => Promise<Buffer | Untransformed> {
  const ofAll = { batchMax, isOfOne: () => false }
  const find = gather((claims: readonly Claimed[]) => findPayloads(db.worker, claims), ofAll)
  const keep = gather((made: readonly MadeBody[]) => keepBodies(db.worker, made), ofAll)

  return async (claimed) => {
    const { isTransformed, body } = await find(claimed)
    if (!isTransformed) return claimed.body
    if (body !== null) return body
    const made = await make(claimed)
    return Buffer.isBuffer(made) ? await keep({ claimed, body: made }) : made
  }
}

/**
 * Where the transformation was taken away in the meantime, the event itself is what is sent. Throws
 * `overloaded` where nobody had time for it.
 */
async function make({ tenantId, transformation, body }: Claimed): Promise<Buffer | Untransformed> {
  if (transformation === null) return body
  const startedMs = performance.now()
  const work = { expression: transformation, event: body.toString('utf8') }
  const transformed = await transformer.run(tenantId, work)
  if (transformed.kind === 'made') return Buffer.from(transformed.body)
  // Nothing is known of the expression, so nothing was tried.
  if (transformed.kind === 'busy') throw problem('overloaded', { detail: transformed.detail })
  const durationMs = performance.now() - startedMs
  return { kind: 'untransformed', detail: `The transformation: ${transformed.detail}`, durationMs }
}
