import type { LegalHold as HoldInfo, LegalHoldPatch } from '#generated/types.ts'

/**
 * A *legal hold* keeps all that a tenant has: events, deliveries, attempts, the audit, the log of
 * calls, jobs, clients and proposals that it deleted. What is no record of anything (replies kept for
 * a day under their keys, figures) goes as always.
 */
export interface LegalHold {
  reason: string | null
  placedAt: Date | null
  revision: number
}

/** What everybody begins with. */
export const noHold: LegalHold = { reason: null, placedAt: null, revision: 1 }

/** Shared by whoever erases, for as long as that takes; whoever places a hold waits for them. */
export const eraseLock = 8_262_015

/** A hold that is given another reason holds since it was placed. */
export function patchHold(hold: LegalHold, { reason }: LegalHoldPatch, now: Date): LegalHold {
  if (reason === undefined) return hold
  const placedAt = reason === null ? null : (hold.placedAt ?? now)
  return { reason, placedAt, revision: hold.revision + 1 }
}

export function toHold({ reason, placedAt, revision }: LegalHold): HoldInfo {
  return { reason, placedAt: placedAt?.toISOString() ?? null, revision }
}
