import { insertApiKey } from '#api-keys/api-key.sql.ts'
import { type ApiKey, newApiKey, toApiKey } from '#api-keys/api-key.ts'
import { insertSecurityEvent } from '#api-keys/security-event.sql.ts'
import { deedEvent } from '#api-keys/security-event.ts'
import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import type { Scope } from '#generated/routes.ts'
import type { AdminKeyCreated, OrganizationInfo } from '#generated/types.ts'
import type { Cause } from '#http/operation.ts'
import { tenantId } from '#ids.ts'
import type { ApiKeyKind } from '#secrets/token.ts'
import { insertOrganization, insertTenant } from './organization.sql.ts'
import {
  type Environment,
  environments,
  type Organization,
  toOrganization,
} from './organization.ts'

/** Queues an organization with both its tenants and a first admin key for each. */
export function openOrganization(
  ctx: Context,
  tx: Tx,
  cause: Cause,
  name: string,
): { view: OrganizationInfo; adminKeys: AdminKeyCreated[] } {
  const organization: Organization = {
    id: tx.newId('org'),
    name,
    tenants: { PRODUCTION: tenantId(tx.newId('ten')), SANDBOX: tenantId(tx.newId('ten')) },
    createdAt: cause.now,
  }
  const view = toOrganization(organization)

  insertOrganization(tx, organization)
  record(tx, cause, 'organization.created', organization.id, { after: view })
  publish(tx, cause, 'organization.created', view)
  const adminKeys = environments.map((environment) => {
    const inside = tx.forTenant(organization.tenants[environment])
    insertTenant(inside, organization.id, environment, cause.now)
    return openTenant(ctx, inside, cause, environment)
  })
  return { view, adminKeys }
}

/** Queues a key that may do everything in the tenant of `tx`; answers it with its secret. */
export function openTenant(
  ctx: Context,
  tx: Tx,
  cause: Cause,
  environment: Environment,
): AdminKeyCreated {
  const kind = environment === 'PRODUCTION' ? 'live' : 'test'
  const { key, secret } = queueKey(ctx, tx, cause, kind, 'Admin', ['*'])
  return { id: key.id, environment, tenantId: tx.tenantId, key: secret }
}

/** Queues an operator's key in the reserved tenant; answers its secret. */
export function openOperator(ctx: Context, tx: Tx, cause: Cause): string {
  return queueKey(ctx, tx, cause, 'op', 'Operator', operatorScopes).secret
}

/** `audit:read` reads what every key reads with it: the entries of its own tenant. */
const operatorScopes: Scope[] = [
  'audit:read',
  'organizations:read',
  'organizations:write',
  'operators:read',
  'operators:write',
  'request_logs:read',
  'request_logs:write',
  'api_metrics:read',
]

function queueKey(
  { secrets }: Context,
  tx: Tx,
  cause: Cause,
  kind: ApiKeyKind,
  name: string,
  scopes: Scope[],
): { key: ApiKey; secret: string } {
  const { key: secret, hash, prefix } = secrets.newApiKey(kind)
  const birth = { prefix, allowedIps: [], serviceAccount: null, now: cause.now }
  const key = newApiKey({ name, scopes }, { id: tx.newId('key'), ...birth })
  const view = toApiKey(key, kind === 'test' ? 'SANDBOX' : 'PRODUCTION', cause.now)

  insertApiKey(tx, tx.tenantId, key, hash)
  insertSecurityEvent(tx, tx.tenantId, deedEvent(tx.newId('sec'), 'KEY_CREATED', cause, key))
  record(tx, cause, 'api_key.created', key.id, { after: view })
  publish(tx, cause, 'api_key.created', view)
  return { key, secret }
}
