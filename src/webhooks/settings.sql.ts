import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'
import { usualSettings, type WebhookSettings } from './settings.ts'

export async function findSettings(db: Db, tenantId: TenantId): Promise<WebhookSettings> {
  const row = await fetchOne(db, settingsByTenant.bind({ tenantId }))
  if (row === undefined) return usualSettings
  return { retryDelaysSeconds: row.retry_delays_seconds, revision: row.revision }
}

const settingsByTenant = statement('webhook_settings_by_tenant', (a: { tenantId: TenantId }) =>
  build
    .selectFrom('webhook_settings')
    .select(['retry_delays_seconds', 'revision'])
    .where('tenant_id', '=', a.tenantId),
)

/** Queues settings; another change of the same revision is a conflict. */
export function updateSettings(tx: Tx, settings: WebhookSettings, now: Date): void {
  const { retryDelaysSeconds, revision } = settings
  tx.queue(
    settingsWrite.bind({
      tenantId: tx.tenantId,
      retryDelaysSeconds: retryDelaysSeconds && [...retryDelaysSeconds],
      ...{ revision, revisionBefore: revision - 1, now },
    }),
  )
}

interface Written {
  tenantId: TenantId
  retryDelaysSeconds: number[] | null
  revision: number
  revisionBefore: number
  now: Date
}

const settingsWrite = touchingOne('webhook_settings_write', 'conflict', (a: Written) =>
  build
    .insertInto('webhook_settings')
    .values({
      tenant_id: a.tenantId,
      retry_delays_seconds: a.retryDelaysSeconds,
      revision: a.revision,
      updated_at: a.now,
    })
    .onConflict((conflict) =>
      conflict
        .column('tenant_id')
        .doUpdateSet((row) => ({
          retry_delays_seconds: row.ref('excluded.retry_delays_seconds'),
          revision: row.ref('excluded.revision'),
          updated_at: row.ref('excluded.updated_at'),
        }))
        .where('webhook_settings.revision', '=', a.revisionBefore),
    ),
)
