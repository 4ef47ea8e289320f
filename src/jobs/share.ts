import type { TenantId } from '#ids.ts'

/**
 * What a tenant is handed at once: its *share*. What was handed waits in graphile-worker's queue, and
 * everybody waits behind it; so a tenant has only as much there as its jobs are quick. The share
 * grows by one with each job that ends, and falls to the usual one as soon as a job had to be given
 * back since its tenant found no slot.
 */
export interface Shares {
  ended(tenantId: TenantId): void
  refused(tenantId: TenantId, nowMs: number): void
  /** The tenants whose share is another than the usual: larger, or nothing for now. */
  exceptions(nowMs: number): { tenantIds: TenantId[]; shares: number[] }
}

/** The largest share: some tenths of a second of the quickest jobs. */
const shareMost = 500

/** After a job was given back its tenant is left alone for so long, unless one of its own ends. */
const pauseMs = 250

/** Tenants remembered; beyond that all have the usual share again. */
const tenantsMax = 10_000

export function createShares(usual: number): Shares {
  const larger = new Map<TenantId, number>()
  const pausedUntilMs = new Map<TenantId, number>()
  return {
    ended(tenantId) {
      pausedUntilMs.delete(tenantId)
      if (larger.size >= tenantsMax) larger.clear()
      larger.set(tenantId, Math.min((larger.get(tenantId) ?? usual) + 1, shareMost))
    },
    refused(tenantId, nowMs) {
      larger.delete(tenantId)
      pausedUntilMs.set(tenantId, nowMs + pauseMs)
    },
    exceptions(nowMs) {
      for (const [tenantId, untilMs] of pausedUntilMs) {
        if (untilMs <= nowMs) pausedUntilMs.delete(tenantId)
      }
      return {
        tenantIds: [...larger.keys(), ...pausedUntilMs.keys()],
        shares: [...larger.values(), ...Array.from(pausedUntilMs, () => 0)],
      }
    },
  }
}
