import type { KeyObject } from 'node:crypto'
import type { Context } from '#context.ts'
import { privateKey, type Signable, type SigningKey, signingKey } from '#secrets/signature.ts'
import type { Claimed } from './claim.sql.ts'
import { keyPairPlace, signsStill } from './key-set.ts'
import { isSigning, secretPlace } from './secret.ts'

/** Signs by so many secrets, and so many key pairs, without opening them anew. */
const keptMax = 2_000

type Signed = Pick<
  Claimed,
  'tenantId' | 'endpointId' | 'secret' | 'formerSecrets' | 'signatureSchemes' | 'keyPairs'
>

/**
 * Opens an endpoint's secrets and makes keys of each once for as long as the sealed secret stays the
 * same; the key objects show no bytes. Opening one for each attempt took longer than signing. Which
 * secrets sign says each claim anew: what is kept here never brings back one that was revoked. The
 * oldest comes first, which is the one for `X-UBOS-Signature`.
 */
export function createSigners({ secrets }: Pick<Context, 'secrets'>) {
  const keptKeys = keeping<SigningKey>()
  const keptPairs = keeping<KeyObject>()

  /** `name` is the endpoint's for its newest secret, and a former secret's own. */
  function keyOf(name: string, { tenantId, endpointId }: Signed, sealed: Buffer): SigningKey {
    const place = secretPlace(tenantId, endpointId)
    return keptKeys(name, sealed, () => signingKey(secrets.open(place, sealed).toString()))
  }

  function secretsOf(claimed: Signed, at: Date): SigningKey[] {
    const newest = keyOf(claimed.endpointId, claimed, claimed.secret)
    if (claimed.formerSecrets === null) return [newest]
    const former = claimed.formerSecrets
      .filter((one) => isSigning(one, at))
      .map(({ id, sealed }) => keyOf(id, claimed, Buffer.from(sealed, 'base64')))
    return [...former, newest]
  }

  function privateKeysOf({ tenantId, keyPairs }: Signed, at: Date): KeyObject[] {
    const pairs = (keyPairs ?? []).filter((pair) => signsStill(pair, at))
    return pairs.map(({ id, sealed }) => {
      const bytes = Buffer.from(sealed, 'base64')
      const place = keyPairPlace(tenantId, id)
      return keptPairs(id, bytes, () => privateKey(secrets.open(place, bytes)))
    })
  }

  return (
    claimed: Signed,
    at: Date,
  ): Required<Pick<Signable, 'secrets' | 'schemes' | 'privateKeys'>> => ({
    secrets: secretsOf(claimed, at),
    schemes: claimed.signatureSchemes,
    privateKeys: privateKeysOf(claimed, at),
  })
}

/** Keeps what was made of a sealed value under its name for as long as that is the same. */
function keeping<Made>() {
  const kept = new Map<string, { sealed: Buffer; made: Made }>()
  return (name: string, sealed: Buffer, make: () => Made): Made => {
    const known = kept.get(name)
    if (known?.sealed.equals(sealed)) return known.made
    const made = make()
    if (kept.size >= keptMax) kept.clear()
    kept.set(name, { sealed: Buffer.from(sealed), made })
    return made
  }
}
