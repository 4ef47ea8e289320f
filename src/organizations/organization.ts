import type { OrganizationInfo } from '#generated/types.ts'
import type { Id, TenantId } from '#ids.ts'

/**
 * An *organization* is a customer. It has two *tenants*, one for each environment, and every other
 * row belongs to a tenant. Organizations themselves are the operators' business, in their reserved
 * tenant: no key of a customer sees them, and no operator's key sees a customer's rows.
 */
export interface Organization {
  id: Id<'org'>
  name: string
  tenants: Readonly<Record<Environment, TenantId>>
  createdAt: Date
}

export type Environment = 'PRODUCTION' | 'SANDBOX'

export const environments: readonly Environment[] = ['PRODUCTION', 'SANDBOX']

export function toOrganization({ id, name, tenants, createdAt }: Organization): OrganizationInfo {
  return {
    id,
    name,
    tenants: environments.map((environment) => ({ id: tenants[environment], environment })),
    createdAt: createdAt.toISOString(),
  }
}
