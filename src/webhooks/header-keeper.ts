import type { TenantId } from '#ids.ts'
import type { Secrets } from '#secrets/secrets.ts'
import { type HeaderKeeper, headerPlace } from './custom-header.ts'

/** Seals and opens the values of one endpoint's headers. */
export function headerKeeper(
  secrets: Secrets,
  tenantId: TenantId,
  endpointId: string,
): HeaderKeeper {
  const placeOf = (name: string) => headerPlace(tenantId, endpointId, name)
  return {
    seal: (name, value) => secrets.seal(placeOf(name), value).toString('base64'),
    open: ({ name, sealed }) =>
      secrets.open(placeOf(name), Buffer.from(sealed, 'base64')).toString(),
  }
}
