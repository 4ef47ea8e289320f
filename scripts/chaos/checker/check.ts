import { checkDeeds } from './deeds.ts'
import { checkDeliveries } from './deliveries.ts'
import type { Finding, Ledger, Query } from './finding.ts'
import { checkLog } from './log.ts'

/**
 * Holds what callers were told and receivers heard against the database, once all is quiet. Finds
 * nothing when nothing was lost, nothing was done twice, and all of it fits together.
 */
export async function check(query: Query, ledger: Ledger): Promise<Finding[]> {
  const findings: Finding[] = []
  const report = (kind: Finding['kind'], what: string, where: string) => {
    findings.push({ kind, what, where })
  }
  await checkLog(query, ledger, report)
  // Of all tenants at once there are millions of rows.
  for (const tenantId of ledger.tenantIds) {
    const own = ofTenant(ledger, tenantId)
    await checkDeeds(query, own, report)
    await checkDeliveries(query, own, report)
  }
  return findings
}

function ofTenant({ deeds, changes, endpoints }: Ledger, tenantId: string): Ledger {
  const isOwn = (one: { tenantId: string }) => one.tenantId === tenantId
  return {
    tenantIds: [tenantId],
    deeds: deeds.filter(isOwn),
    changes: changes.filter(isOwn),
    endpoints: endpoints.filter(isOwn),
  }
}

/** Waits until nothing is pending or due any more, or until it has lasted too long. */
export async function settled(query: Query, patienceMs: number): Promise<boolean> {
  const endMs = performance.now() + patienceMs
  while (performance.now() < endMs) {
    const [rest] = await query<{ is_quiet: boolean }>(quietText).catch(() => [])
    if (rest?.is_quiet) return true
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return false
}

const quietText = `
  select not exists (select from event_pending) and not exists (select from audit_pending)
    and not exists (select from delivery_due) and not exists (
      select from job where status = 'RUNNING' or (status = 'PENDING' and due_at <= now())
    ) as is_quiet`
