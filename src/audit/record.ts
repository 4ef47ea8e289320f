import type { Tx } from '#db/transact.ts'
import type { Cause } from '#http/operation.ts'
import { dayOf, timeOf } from '#ids.ts'
import { maskedJson } from './mask.ts'

/** What changed, field by field; secrets are hidden. */
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
    // The moment inside the id, so that a search by time is one by id.
    occurredAt: new Date(timeOf(id)),
    action,
    resourceId,
    actorType: cause.actor.type,
    actorId: cause.actor.id,
    requestId: cause.requestId,
    correlationId: cause.correlationId,
    ip: cause.ip,
    before: before ? maskedJson(before) : null,
    after: after ? maskedJson(after) : null,
  })
}
