import type {
  BodyKeeping,
  RequestLogPolicy as PolicyInfo,
  RequestLogPolicyPatch,
} from '#generated/types.ts'

/** Of which calls a tenant's bodies are kept, and for how many days. */
export interface RequestLogPolicy {
  keepBodies: BodyKeeping
  retentionDays: number
  /** Null while it is the one that everybody begins with. */
  updatedAt: Date | null
}

/** Bodies hold the business of a tenant's customers: none is kept unless the tenant says so. */
export const firstPolicy: RequestLogPolicy = {
  keepBodies: 'NONE',
  retentionDays: 30,
  updatedAt: null,
}

export function patchPolicy(
  policy: RequestLogPolicy,
  patch: RequestLogPolicyPatch,
  now: Date,
): RequestLogPolicy {
  return {
    keepBodies: patch.keepBodies ?? policy.keepBodies,
    retentionDays: patch.retentionDays ?? policy.retentionDays,
    updatedAt: now,
  }
}

/** Whether the bodies of a call with this status are kept. */
export function keepsBodies(keeping: BodyKeeping, status: number): boolean {
  switch (keeping) {
    case 'NONE':
      return false
    case 'ERRORS':
      return status >= 400
    case 'ALL':
      return true
    default:
      return keeping satisfies never
  }
}

export function toPolicy({ keepBodies, retentionDays, updatedAt }: RequestLogPolicy): PolicyInfo {
  return { keepBodies, retentionDays, updatedAt: updatedAt?.toISOString() ?? null }
}
