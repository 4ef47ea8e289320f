import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'
import { type RetentionPolicy, usualPolicy } from './policy.ts'

export async function findPolicy(db: Db, tenantId: TenantId): Promise<RetentionPolicy> {
  const row = await fetchOne(db, policyByTenant.bind({ tenantId }))
  if (row === undefined) return usualPolicy
  return {
    eventPayloadDays: row.event_payload_days,
    deliveryPayloadDays: row.delivery_payload_days,
    jobsDays: row.jobs_days,
    revision: row.revision,
  }
}

const policyByTenant = statement('retention_policy_by_tenant', (a: { tenantId: TenantId }) =>
  build
    .selectFrom('retention_policy')
    .select(['event_payload_days', 'delivery_payload_days', 'jobs_days', 'revision'])
    .where('tenant_id', '=', a.tenantId),
)

/** Queues a policy; another change of the same revision is a conflict. */
export function updatePolicy(tx: Tx, policy: RetentionPolicy, now: Date): void {
  const revisionBefore = policy.revision - 1
  tx.queue(policyWrite.bind({ tenantId: tx.tenantId, ...policy, revisionBefore, now }))
}

const policyWrite = touchingOne(
  'retention_policy_write',
  'conflict',
  (a: RetentionPolicy & { tenantId: TenantId; revisionBefore: number; now: Date }) =>
    build
      .insertInto('retention_policy')
      .values({
        tenant_id: a.tenantId,
        event_payload_days: a.eventPayloadDays,
        delivery_payload_days: a.deliveryPayloadDays,
        jobs_days: a.jobsDays,
        revision: a.revision,
        updated_at: a.now,
      })
      .onConflict((conflict) =>
        conflict
          .column('tenant_id')
          .doUpdateSet((row) => ({
            event_payload_days: row.ref('excluded.event_payload_days'),
            delivery_payload_days: row.ref('excluded.delivery_payload_days'),
            jobs_days: row.ref('excluded.jobs_days'),
            revision: row.ref('excluded.revision'),
            updated_at: row.ref('excluded.updated_at'),
          }))
          .where('retention_policy.revision', '=', a.revisionBefore),
      ),
)
