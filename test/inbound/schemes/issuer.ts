import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { FetchKeys } from '#inbound/scheme.ts'
import { nowSeconds } from './fixture.ts'

export interface Issuer {
  /** A token that is good from now for an hour, unless the claims or the header say otherwise. */
  token(claims: Readonly<Record<string, unknown>>, header?: { kid?: string }): Promise<string>
  /** The public key as it is published. */
  jwk: Record<string, unknown>
}

/** One key pair of an issuer, signing with other people's library. */
export async function createIssuer(kid: string, alg = 'RS256'): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  return {
    jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' },
    token: (claims, header) =>
      new SignJWT({ iat: nowSeconds, exp: nowSeconds + 3_600, ...claims })
        .setProtectedHeader({ alg, kid, ...header })
        .sign(privateKey),
  }
}

/** Serves what is published under each address, and notes what was asked for. */
export function publish(published: Record<string, unknown>) {
  const asked: string[] = []
  const fetchKeys: FetchKeys = async (url, read, wish) => {
    asked.push(wish?.isAnew ? `${url} anew` : url)
    const found = published[url]
    if (found === undefined) throw new Error(`${url} is away.`)
    return read(typeof found === 'string' ? found : JSON.stringify(found))
  }
  return { fetchKeys, asked, published }
}
