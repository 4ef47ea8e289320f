import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'
import type { Endpoint } from './endpoint.ts'

/** The newest signing secret of an endpoint, sealed. */
export async function findSecret(db: Db, tenantId: TenantId, endpointId: string) {
  const row = await fetchOne(db, secretByEndpoint.bind({ tenantId, endpointId }))
  return row?.secret
}

const secretByEndpoint = statement(
  'webhook_secret_by_endpoint',
  (a: { tenantId: TenantId; endpointId: string }) =>
    build
      .selectFrom('webhook_endpoint')
      .select('secret')
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.endpointId),
)

/** Queues an endpoint's secrets as they are now; `secret` is the newest, sealed for its place. */
export function updateSecrets(
  tx: Tx,
  tenantId: TenantId,
  endpoint: Endpoint,
  secret: Buffer,
): void {
  const { id, secretId, secretCreatedAt, formerSecrets, revision, updatedAt } = endpoint
  tx.queue(
    secretsUpdate.bind({
      ...{ tenantId, id, secret, secretId, secretCreatedAt, revision, updatedAt },
      formerSecrets: formerSecrets.length === 0 ? null : JSON.stringify(formerSecrets),
      revisionBefore: revision - 1,
    }),
  )
}

interface Written {
  tenantId: TenantId
  id: string
  secret: Buffer
  secretId: string
  secretCreatedAt: Date
  formerSecrets: string | null
  revision: number
  updatedAt: Date
  revisionBefore: number
}

const secretsUpdate = touchingOne('webhook_secrets_update', 'conflict', (a: Written) =>
  build
    .updateTable('webhook_endpoint')
    .set({
      secret: a.secret,
      secret_id: a.secretId,
      secret_created_at: a.secretCreatedAt,
      former_secrets: a.formerSecrets,
      revision: a.revision,
      updated_at: a.updatedAt,
    })
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('revision', '=', a.revisionBefore)
    .where('deleted_at', 'is', null),
)
