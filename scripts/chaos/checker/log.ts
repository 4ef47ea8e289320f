import { keptDays } from '../../../src/audit/entry.ts'
import { verifyAudit } from '../../../src/audit/verify.ts'
import type { Finding, Ledger, Query, Report } from './finding.ts'

/**
 * Every event has one position, positions are dense, nothing waits, the audit's chains hold, and no
 * job is left in the middle.
 */
export async function checkLog(query: Query, { tenantIds }: Ledger, report: Report) {
  const rows = await query<{ kind: Finding['kind']; what: string; where: string }>(logText, [
    tenantIds,
  ])
  for (const { kind, what, where } of rows) report(kind, what, where)
  const options = { now: new Date(), keptDays, kept: [], attest: undefined }
  const { damages, counted } = await verifyAudit(query, options)
  for (const { tenantId, what } of damages) report('BROKEN', `the audit: ${what}`, tenantId ?? '')
  if (counted.pending > 0) report('BROKEN', `${counted.pending} audit entries unchained`, 'audit')
}

const logText = `
  select 'LOST' as kind, 'an event without position' as what, id as where from event
  where tenant_id = any($1) and not exists (
    select from event_position as place
    where place.tenant_id = event.tenant_id and place.event_id = event.id)
  union all
  select 'BROKEN', 'a position without event', event_id from event_position as place
  where tenant_id = any($1) and not exists (
    select from event where event.tenant_id = place.tenant_id and event.id = place.event_id
      and event.created_on = place.created_on)
  union all
  select 'DOUBLED', 'an event with several positions', event_id from event_position
  where tenant_id = any($1) group by tenant_id, event_id having count(*) > 1
  union all
  select 'BROKEN', 'positions with gaps', tenant_id from (
    select head.tenant_id, head.position as last, count(place.position) as count,
      coalesce(max(place.position), 0) as most
    from stream_head as head
    left join event_position as place on place.tenant_id = head.tenant_id
    where head.tenant_id = any($1) group by head.tenant_id, head.position
  ) as counted where count <> most or most <> last
  union all
  select 'LOST', 'an event that was never numbered', event_id from event_pending
  where tenant_id = any($1)
  union all
  select 'LOST', 'a job that is ' || status, id from job
  where tenant_id = any($1) and status in ('PENDING', 'RUNNING') and due_at <= now()
  union all
  select 'BROKEN', 'a job that is ' || status || ' under a lease', id from job
  where tenant_id = any($1) and status not in ('PENDING', 'RUNNING') and lease_token is not null`
