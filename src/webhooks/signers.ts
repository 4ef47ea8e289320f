import type { Context } from '#context.ts'
import { type SigningKey, signingKey } from '#secrets/signature.ts'
import type { Claimed } from './claim.sql.ts'
import { isSigning, secretPlace } from './secret.ts'

/** Signs by so many secrets without opening them anew. */
const keptMax = 2_000

type Signed = Pick<Claimed, 'tenantId' | 'endpointId' | 'secret' | 'formerSecrets'>

/**
 * Opens an endpoint's secrets and makes keys of each once for as long as the sealed secret stays the
 * same; the key objects show no bytes. Opening one for each attempt took longer than signing. Which
 * secrets sign says each claim anew: what is kept here never brings back one that was revoked. The
 * oldest comes first, which is the one for `X-UBOS-Signature`.
 */
export function createSigners({
  secrets,
}: Pick<Context, 'secrets'>): (claimed: Signed, at: Date) => SigningKey[] {
  const kept = new Map<string, { sealed: Buffer; key: SigningKey }>()

  /** `name` is the endpoint's for its newest secret, and a former secret's own. */
  function keyOf(name: string, { tenantId, endpointId }: Signed, sealed: Buffer): SigningKey {
    const known = kept.get(name)
    if (known?.sealed.equals(sealed)) return known.key
    const key = signingKey(secrets.open(secretPlace(tenantId, endpointId), sealed).toString())
    if (kept.size >= keptMax) kept.clear()
    kept.set(name, { sealed: Buffer.from(sealed), key })
    return key
  }

  return (claimed, at) => {
    const newest = keyOf(claimed.endpointId, claimed, claimed.secret)
    if (claimed.formerSecrets === null) return [newest]
    const former = claimed.formerSecrets
      .filter((one) => isSigning(one, at))
      .map(({ id, sealed }) => keyOf(id, claimed, Buffer.from(sealed, 'base64')))
    return [...former, newest]
  }
}
