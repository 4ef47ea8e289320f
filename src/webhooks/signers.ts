import type { Context } from '#context.ts'
import { type SigningKey, signingKey } from '#secrets/signature.ts'
import type { Claimed } from './claim.sql.ts'
import { secretPlace } from './secret.ts'

/** Signs for so many endpoints without opening their secrets anew. */
const keptMax = 2_000

/**
 * Opens an endpoint's secret and makes keys of it once for as long as the sealed secret stays the
 * same; the key objects show no bytes. Opening it for each attempt took longer than signing.
 */
export function createSigners({
  secrets,
}: Pick<Context, 'secrets'>): (claimed: Claimed) => SigningKey {
  const kept = new Map<string, { sealed: Buffer; key: SigningKey }>()

  return ({ tenantId, endpointId, secret }) => {
    const known = kept.get(endpointId)
    if (known?.sealed.equals(secret)) return known.key
    const key = signingKey(secrets.open(secretPlace(tenantId, endpointId), secret).toString())
    if (kept.size >= keptMax) kept.clear()
    kept.set(endpointId, { sealed: Buffer.from(secret), key })
    return key
  }
}
