import type { Context } from '#context.ts'
import { build } from '#db/database.ts'
import { fetchOne, statement } from '#db/statement.ts'
import type { Scope } from '#generated/routes.ts'
import type { Principal } from '#http/operation.ts'
import { type Id, type TenantId, tenantId } from '#ids.ts'
import { accountOf } from './api-key.sql.ts'
import { effectiveScopes } from './api-key.ts'
import { type Verified, verifiedOf } from './verified.ts'

/** The key of a secret, by its hash, with the tenant that it opens; undefined for nobody's. */
export async function findVerified(ctx: Context, hash: Buffer): Promise<Verified | undefined> {
  const [indexed] = await ctx.db.readers.query<{
    tenant_id: string
    api_key_id: string
    expires_at: Date | null
  }>('select * from ubos_find_key($1)', [hash])
  if (indexed === undefined) return undefined
  const tenant = tenantId(indexed.tenant_id)
  const db = ctx.db.readers.of(tenant)
  const row = await fetchOne(db, principalById.bind({ tenantId: tenant, id: indexed.api_key_id }))
  if (row === undefined) return undefined
  const serviceAccount = accountOf(row)
  return verifiedOf({
    tenantId: tenant,
    organizationId: row.organization_id as Id<'org'>,
    environment: row.environment as Principal['environment'],
    key: {
      id: row.id as Id<'key'>,
      name: row.name,
      prefix: row.prefix,
      scopes: effectiveScopes({ scopes: row.scopes as Scope[], serviceAccount }),
      allowedIps: row.allowed_ips,
      expiresAt: row.expires_at,
    },
    serviceAccount,
    limits: row.overrides as Principal['limits'],
    revokedAt: row.revoked_at,
    secretExpiresAt: indexed.expires_at,
  })
}

const principalById = statement('principal_by_id', (a: { tenantId: TenantId; id: string }) =>
  build
    .selectFrom('api_key as key')
    .innerJoin('tenant', 'tenant.tenant_id', 'key.tenant_id')
    .leftJoin('tenant_limit', 'tenant_limit.tenant_id', 'key.tenant_id')
    .leftJoin('service_account as account', (join) =>
      join
        .onRef('account.tenant_id', '=', 'key.tenant_id')
        .onRef('account.id', '=', 'key.service_account_id'),
    )
    .select([
      'key.id',
      'key.name',
      'key.prefix',
      'key.scopes',
      'key.allowed_ips',
      'key.expires_at',
      'key.revoked_at',
      'account.id as account_id',
      'account.name as account_name',
      'account.status as account_status',
      'account.scopes as account_scopes',
      'tenant.organization_id',
      'tenant.environment',
      'tenant_limit.overrides',
    ])
    .where('key.tenant_id', '=', a.tenantId)
    .where('key.id', '=', a.id),
)
