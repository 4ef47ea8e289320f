import type { AuditActorType, AuditEntryInfo } from '#generated/types.ts'

/**
 * An *entry* of the audit says who did what to what, when, from where. A change writes its own, in
 * its transaction (`record`); what changes nothing, a key that is refused or a confidential thing
 * that is read, is *observed* and written a moment later. Entries are only ever inserted.
 */
export interface Entry {
  id: string
  occurredAt: Date
  /** noun.verb */
  action: string
  resourceId: string | null
  actorType: AuditActorType
  actorId: string
  requestId: string
  correlationId: string
  ip: string | null
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
  details: Record<string, unknown> | null
}

/** Entries are kept for so long; their links and the anchors for good. */
export const keptDays = 400

export function toEntry(entry: Entry): AuditEntryInfo {
  const { actorType, actorId, occurredAt, ...rest } = entry
  return {
    id: rest.id,
    occurredAt: occurredAt.toISOString(),
    action: rest.action,
    resourceType: rest.action.split('.')[0] ?? '',
    resourceId: rest.resourceId,
    actor: { type: actorType, id: actorId },
    ip: rest.ip,
    requestId: rest.requestId,
    correlationId: rest.correlationId,
    before: rest.before,
    after: rest.after,
    details: rest.details,
  }
}
