import type pg from 'pg'
import { dayOf, type TenantId, timeOf } from '#ids.ts'

/** An entry of something that changed nothing; `details` is JSON without secrets. */
export interface Observed {
  tenantId: TenantId
  id: string
  action: string
  resourceId: string | null
  actorType: string
  actorId: string
  requestId: string
  correlationId: string
  ip: string | null
  details: string
}

/**
 * Writes entries of many tenants at once, pending for their chains like all others. What was written
 * already, by a try whose answer was lost, is not written again.
 */
export async function insertObserved(pool: pg.Pool, entries: readonly Observed[]): Promise<void> {
  await pool.query({
    name: 'audit_observed',
    text: `
      with given as (
        select * from unnest($1::text[], $2::text[], $3::date[], $4::timestamptz[], $5::text[],
          $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
          as o (tenant_id, id, created_on, occurred_at, action, resource_id, actor_type, actor_id,
            request_id, correlation_id, ip, details)
      ), inserted as (
        insert into audit (tenant_id, id, created_on, occurred_at, action, resource_id, actor_type,
          actor_id, request_id, correlation_id, ip, details)
        select tenant_id, id, created_on, occurred_at, action, resource_id, actor_type,
          actor_id, request_id, correlation_id, ip, details::jsonb from given
        on conflict do nothing
        returning tenant_id, id, created_on
      )
      insert into audit_pending (tenant_id, audit_id, created_on)
      select tenant_id, id, created_on from inserted`,
    values: [
      entries.map((entry) => entry.tenantId),
      entries.map((entry) => entry.id),
      entries.map((entry) => dayOf(entry.id)),
      entries.map((entry) => new Date(timeOf(entry.id)).toISOString()),
      entries.map((entry) => entry.action),
      entries.map((entry) => entry.resourceId),
      entries.map((entry) => entry.actorType),
      entries.map((entry) => entry.actorId),
      entries.map((entry) => entry.requestId),
      entries.map((entry) => entry.correlationId),
      entries.map((entry) => entry.ip),
      entries.map((entry) => entry.details),
    ],
  })
}
