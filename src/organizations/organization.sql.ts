import { build, type Db } from '#db/database.ts'
import { fetchOne, statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import { type Id, operatorTenantId, type TenantId, tenantId } from '#ids.ts'
import type { Environment, Organization } from './organization.ts'

const columns = ['id', 'name', 'production_tenant_id', 'sandbox_tenant_id', 'created_at'] as const

interface Row {
  id: string
  name: string
  production_tenant_id: string
  sandbox_tenant_id: string
  created_at: Date
}

function fromRow(row: Row): Organization {
  return {
    id: row.id as Id<'org'>,
    name: row.name,
    tenants: {
      PRODUCTION: tenantId(row.production_tenant_id),
      SANDBOX: tenantId(row.sandbox_tenant_id),
    },
    createdAt: row.created_at,
  }
}

export function insertOrganization(tx: Tx, organization: Organization): void {
  const { id, name, tenants, createdAt } = organization
  const [production, sandbox] = [tenants.PRODUCTION, tenants.SANDBOX]
  tx.queue(organizationInsert.bind({ id, name, production, sandbox, createdAt }))
}

const organizationInsert = statement(
  'organization_insert',
  (a: { id: string; name: string; production: TenantId; sandbox: TenantId; createdAt: Date }) =>
    build.insertInto('organization').values({
      tenant_id: operatorTenantId,
      id: a.id,
      name: a.name,
      production_tenant_id: a.production,
      sandbox_tenant_id: a.sandbox,
      created_at: a.createdAt,
    }),
)

/** Queues a tenant with its stream; `tx` is inside its fence. */
export function insertTenant(
  tx: Tx,
  organizationId: string,
  environment: Environment,
  createdAt: Date,
): void {
  const { tenantId } = tx
  tx.queue(tenantInsert.bind({ tenantId, organizationId, environment, createdAt }))
  tx.queue(streamInsert.bind({ tenantId }))
}

const tenantInsert = statement(
  'tenant_insert',
  (a: { tenantId: TenantId; organizationId: string; environment: Environment; createdAt: Date }) =>
    build.insertInto('tenant').values({
      tenant_id: a.tenantId,
      organization_id: a.organizationId,
      environment: a.environment,
      created_at: a.createdAt,
    }),
)

const streamInsert = statement('stream_head_insert', (a: { tenantId: TenantId }) =>
  build.insertInto('stream_head').values({ tenant_id: a.tenantId, position: 0 }),
)

export async function findOrganization(db: Db, id: string) {
  const row = await fetchOne(db, organizationById.bind({ id }))
  return row && fromRow(row)
}

/** A tenant of an organization, by both their ids. */
export async function findTenant(db: Db, path: { organizationId: string; tenantId: string }) {
  const organization = await findOrganization(db, path.organizationId)
  return Object.values(organization?.tenants ?? {}).find((id) => id === path.tenantId)
}

const organizationById = statement('organization_by_id', (a: { id: string }) =>
  build
    .selectFrom('organization')
    .select(columns)
    .where('tenant_id', '=', operatorTenantId)
    .where('id', '=', a.id),
)

export async function pageOrganizations(
  db: Db,
  filter: CreationFilter,
  page: PageRequest,
): Promise<Organization[]> {
  const all = db
    .selectFrom('organization')
    .select(columns)
    .where('tenant_id', '=', operatorTenantId)
  const rows = await inOrderOfCreation(all, { prefix: 'org' }, filter, page).execute()
  return rows.map(fromRow)
}
