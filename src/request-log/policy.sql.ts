import type pg from 'pg'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { BodyKeeping } from '#generated/types.ts'
import { type TenantId, tenantId as tenantOf } from '#ids.ts'
import type { RequestLogPolicy } from './policy.ts'

export async function findPolicy(
  db: Db,
  tenantId: TenantId,
): Promise<RequestLogPolicy | undefined> {
  const row = await fetchOne(db, policyOne.bind({ tenantId }))
  return row && fromRow(row)
}

/** The policy, held against other changes until the transaction ends. */
export async function lockPolicy(
  tx: Tx,
  tenantId: TenantId,
): Promise<RequestLogPolicy | undefined> {
  const row = await fetchOne(tx, policyLocked.bind({ tenantId }))
  return row && fromRow(row)
}

const policyOne = statement('request_log_policy', selectOne)
const policyLocked = statement('request_log_policy_locked', (a: { tenantId: TenantId }) =>
  selectOne(a).forNoKeyUpdate(),
)

function selectOne(a: { tenantId: TenantId }) {
  return build
    .selectFrom('request_log_policy')
    .select(['keep_bodies', 'retention_days', 'updated_at'])
    .where('tenant_id', '=', a.tenantId)
}

function fromRow(row: { keep_bodies: string; retention_days: number; updated_at: Date }) {
  return {
    keepBodies: row.keep_bodies as BodyKeeping,
    retentionDays: row.retention_days,
    updatedAt: row.updated_at,
  }
}

/** Queues the policy in place of the one before; of two at once the later stays. */
export function putPolicy(tx: Tx, tenantId: TenantId, policy: RequestLogPolicy, now: Date): void {
  const { keepBodies, retentionDays } = policy
  tx.queue(policyPut.bind({ tenantId, keepBodies, retentionDays, now }))
}

const policyPut = statement(
  'request_log_policy_put',
  (a: { tenantId: TenantId; keepBodies: string; retentionDays: number; now: Date }) =>
    build
      .insertInto('request_log_policy')
      .values({
        tenant_id: a.tenantId,
        keep_bodies: a.keepBodies,
        retention_days: a.retentionDays,
        updated_at: a.now,
      })
      .onConflict((conflict) =>
        conflict.column('tenant_id').doUpdateSet((row) => ({
          keep_bodies: row.ref('excluded.keep_bodies'),
          retention_days: row.ref('excluded.retention_days'),
          updated_at: row.ref('excluded.updated_at'),
        })),
      ),
)

/** Every tenant that keeps bodies of some calls, and of which. For processes that write the log. */
export async function listKeepers(worker: pg.Pool): Promise<Map<TenantId, BodyKeeping>> {
  const { rows } = await worker.query<{ tenant_id: string; keep_bodies: string }>(
    "select tenant_id, keep_bodies from request_log_policy where keep_bodies <> 'NONE'",
  )
  return new Map(rows.map((row) => [tenantOf(row.tenant_id), row.keep_bodies as BodyKeeping]))
}
