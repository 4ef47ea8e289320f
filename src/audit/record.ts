import type { Tx } from '#db/transact.ts'
import type { Cause } from '#http/operation.ts'
import { dayOf } from '#ids.ts'

/** What changed, field by field, without secrets. */
export interface Change {
  before?: object
  after?: object
}

/**
 * Writes down that somebody did `action` (noun.verb) to the thing `resourceId`, in the transaction
 * that does it.
 */
export function record(
  tx: Tx,
  cause: Cause,
  action: string,
  resourceId: string,
  { before, after }: Change = {},
): void {
  const id = tx.newId('aud')
  tx.envelope.audits.push({
    id,
    createdOn: dayOf(id),
    occurredAt: cause.now,
    action,
    resourceId,
    actorType: cause.actor.type,
    actorId: cause.actor.id,
    requestId: cause.requestId,
    correlationId: cause.correlationId,
    ip: cause.ip,
    before: before ? JSON.stringify(before) : null,
    after: after ? JSON.stringify(after) : null,
  })
}
