import type { TenantId } from '#ids.ts'

/** Where an endpoint's signing secret is sealed: it opens nowhere else. */
export function secretPlace(tenantId: TenantId, endpointId: string) {
  return { tenantId, table: 'webhook_endpoint', rowId: endpointId, column: 'secret' }
}
