import { lockUnrevokedApiKeys, updateApiKey } from '#api-keys/api-key.sql.ts'
import { revokeApiKey, statusOf, toApiKey } from '#api-keys/api-key.ts'
import { insertSecurityEvent } from '#api-keys/security-event.sql.ts'
import { deedEvent } from '#api-keys/security-event.ts'
import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import { type Tx, transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import { operatorTenantId } from '#ids.ts'
import { openOperator, openOrganization } from './opening.ts'

/** The first keys of an installation, to be shown once. */
export interface FirstKeys {
  operatorKey: string
  /** Of the organization "Demo", in its sandbox. */
  sandboxKey: string
}

/** Makes the first keys; undefined when there are some already. */
export async function openInstallation(ctx: Context): Promise<FirstKeys | undefined> {
  const cause = systemCause(ctx, 'bootstrap')
  return await transact(ctx, operatorTenantId, async (tx) => {
    if ((await activeKeys(tx)).length > 0) return undefined
    const { adminKeys } = openOrganization(ctx, tx, cause, 'Demo')
    const sandbox = adminKeys.find(({ environment }) => environment === 'SANDBOX')
    if (sandbox === undefined) throw new Error('an organization has a sandbox')
    return { operatorKey: openOperator(ctx, tx, cause), sandboxKey: sandbox.key }
  })
}

/** Makes a new operator's key and revokes those before it; answers its secret. */
export async function replaceOperatorKey(ctx: Context): Promise<string> {
  const cause = systemCause(ctx, 'operator-key')
  return await transact(ctx, operatorTenantId, async (tx) => {
    for (const key of await activeKeys(tx)) {
      const revoked = revokeApiKey(key, cause.now)
      const deed = deedEvent(tx.newId('sec'), 'KEY_REVOKED', cause, revoked)
      insertSecurityEvent(tx, operatorTenantId, deed)
      updateApiKey(tx, operatorTenantId, revoked, cause.now)
      const view = toApiKey(revoked, 'PRODUCTION', cause.now)
      record(tx, cause, 'api_key.revoked', key.id, {
        before: { status: statusOf(key, cause.now) },
        after: { status: view.status },
      })
      publish(tx, cause, 'api_key.revoked', view)
    }
    return openOperator(ctx, tx, cause)
  })
}

/** The operators' keys that are not revoked; nobody else changes them until the end. */
async function activeKeys(tx: Tx) {
  await tx
    .selectFrom('tenant')
    .select('tenant_id')
    .where('tenant_id', '=', operatorTenantId)
    .forNoKeyUpdate()
    .execute()
  return await lockUnrevokedApiKeys(tx, operatorTenantId)
}
