import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'
import { type AllowedHosts, type HostPolicy, usualPolicy } from './hosts.ts'

export async function findPolicy(db: Db, tenantId: TenantId): Promise<HostPolicy> {
  const row = await fetchOne(db, policyByTenant.bind({ tenantId }))
  return row === undefined
    ? usualPolicy
    : { allowedHosts: row.allowed_hosts, revision: row.revision }
}

/** To which hosts anything may go out for the tenant. */
export async function findAllowedHosts(db: Db, tenantId: TenantId): Promise<AllowedHosts> {
  return (await findPolicy(db, tenantId)).allowedHosts
}

const policyByTenant = statement('egress_policy_by_tenant', (a: { tenantId: TenantId }) =>
  build
    .selectFrom('egress_policy')
    .select(['allowed_hosts', 'revision'])
    .where('tenant_id', '=', a.tenantId),
)

/** Queues a policy; another change of the same revision is a conflict. */
export function updatePolicy(tx: Tx, { allowedHosts, revision }: HostPolicy, now: Date): void {
  const revisionBefore = revision - 1
  const hosts = allowedHosts && [...allowedHosts]
  tx.queue(policyWrite.bind({ tenantId: tx.tenantId, hosts, revision, revisionBefore, now }))
}

const policyWrite = touchingOne(
  'egress_policy_write',
  'conflict',
  (a: {
    tenantId: TenantId
    hosts: string[] | null
    revision: number
    revisionBefore: number
    now: Date
  }) =>
    build
      .insertInto('egress_policy')
      .values({
        tenant_id: a.tenantId,
        allowed_hosts: a.hosts,
        revision: a.revision,
        updated_at: a.now,
      })
      .onConflict((conflict) =>
        conflict
          .column('tenant_id')
          .doUpdateSet((row) => ({
            allowed_hosts: row.ref('excluded.allowed_hosts'),
            revision: row.ref('excluded.revision'),
            updated_at: row.ref('excluded.updated_at'),
          }))
          .where('egress_policy.revision', '=', a.revisionBefore),
      ),
)
