import type pg from 'pg'
import { build } from '#db/database.ts'
import { statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import { type TenantId, tenantId } from '#ids.ts'
import { warnDaysBefore } from './expiry.ts'

export interface Expiring {
  tenantId: TenantId
  environment: 'PRODUCTION' | 'SANDBOX'
  keyId: string
}

const [last, next, first] = warnDaysBefore

/** Over all tenants, the next keys whose end is near and was not warned of since it came so near. */
export async function findExpiring(
  pool: pg.Pool,
  now: Date,
  after: Expiring | undefined,
  limit: number,
): Promise<Expiring[]> {
  const { rows } = await pool.query<{ tenant_id: string; id: string; environment: string }>({
    name: 'api_keys_expiring',
    text: `
      select key.tenant_id, key.id, tenant.environment
      from api_key as key join tenant on tenant.tenant_id = key.tenant_id
      where key.revoked_at is null and key.expires_at > $1::timestamptz
        and key.expires_at <= $1::timestamptz + interval '${first} days'
        and (key.tenant_id, key.id) > ($2, $3)
        and not exists (select from api_key_expiry_warning as given
          where given.tenant_id = key.tenant_id and given.api_key_id = key.id
            and given.expires_at = key.expires_at
            and given.days_before <= case
              when key.expires_at <= $1::timestamptz + interval '${last} days' then ${last}
              when key.expires_at <= $1::timestamptz + interval '${next} days' then ${next}
              else ${first} end)
      order by key.tenant_id, key.id limit $4`,
    values: [now, after?.tenantId ?? '', after?.keyId ?? '', limit],
  })
  return rows.map((row) => ({
    tenantId: tenantId(row.tenant_id),
    environment: row.environment as Expiring['environment'],
    keyId: row.id,
  }))
}

interface Warning {
  keyId: string
  expiresAt: Date
  daysBefore: number
}

/** Queues that a warning was given: a second one of the same fails on its primary key. */
export function insertWarning(tx: Tx, warning: Warning, now: Date): void {
  tx.queue(warningInsert.bind({ tenantId: tx.tenantId, ...warning, now }))
}

const warningInsert = statement(
  'api_key_expiry_warning_insert',
  (a: Warning & { tenantId: TenantId; now: Date }) =>
    build.insertInto('api_key_expiry_warning').values({
      tenant_id: a.tenantId,
      api_key_id: a.keyId,
      expires_at: a.expiresAt,
      days_before: a.daysBefore,
      warned_at: a.now,
    }),
)

/** Forgets the warnings of ends that have come. */
export async function deleteWarnings(pool: pg.Pool, now: Date): Promise<void> {
  await pool.query('delete from api_key_expiry_warning where expires_at <= $1', [now])
}
