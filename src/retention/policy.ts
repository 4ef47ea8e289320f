import type { RetentionPolicy as PolicyInfo, RetentionPolicyPatch } from '#generated/types.ts'
import type { LegalHold } from './hold.ts'

/** For how many days a tenant's payloads are kept; revision 1 is the usual. */
export interface RetentionPolicy {
  eventPayloadDays: number
  deliveryPayloadDays: number
  jobsDays: number
  revision: number
}

/** Payloads stay as long as their rows: events for 90 days, attempts for 30. */
export const usualPolicy: RetentionPolicy = {
  eventPayloadDays: 90,
  deliveryPayloadDays: 30,
  jobsDays: 14,
  revision: 1,
}

export function patchPolicy(policy: RetentionPolicy, patch: RetentionPolicyPatch): RetentionPolicy {
  return {
    eventPayloadDays: patch.eventPayloadDays ?? policy.eventPayloadDays,
    deliveryPayloadDays: patch.deliveryPayloadDays ?? policy.deliveryPayloadDays,
    jobsDays: patch.jobsDays ?? policy.jobsDays,
    revision: policy.revision + 1,
  }
}

/** The policy as its tenant sees it: a hold that is placed or lifted is a change of it as well. */
export function toPolicy({ revision, ...days }: RetentionPolicy, hold: LegalHold): PolicyInfo {
  return {
    ...days,
    heldSince: hold.placedAt?.toISOString() ?? null,
    revision: revision + hold.revision - 1,
  }
}
