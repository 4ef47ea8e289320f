import { createHash } from 'node:crypto'
import { type IncomingRequest, refused, type Scheme, type Settings } from '../scheme.ts'
import { describedSettings, describeEvent, flawsOfPointers } from './described.ts'
import { isSameText } from './mac.ts'
import type { Members } from './payload.ts'
import { flawOfMissing, headerSetting, textSetting } from './settings.ts'
import { bearerOf, judgeToken } from './token.ts'

/**
 * A bearer token signed by an issuer whose keys are public. Settings: `jwksUrl`, `issuer`, `audience`;
 * `subject`, where it must be one; `header`, where it is not `Authorization` (the token stands in it
 * with or without `Bearer`); where id and type of the event stand. A token says nothing of the body,
 * unless `bodyDigestClaim` names the claim with its SHA-256 (hexadecimal, base64 or base64url).
 */
export const jwt: Scheme = {
  async verify(request, { now, settings, fetchKeys }) {
    const { header, keysUrl, issuer, audience } = read(settings)
    const value = request.headers[header]
    if (value === undefined) return refused('missing')
    const token = bearerOf(value) ?? (header === 'authorization' ? undefined : value)
    if (token === undefined) return refused('malformed')
    if (!keysUrl || !issuer || !audience) return refused('key')

    const rules = { keysUrl, issuers: [issuer], audiences: [audience] }
    const verdict = await judgeToken(token, rules, now, fetchKeys)
    if (verdict.kind !== 'accepted') return verdict
    const subject = textSetting(settings, 'subject')
    if (subject !== undefined && verdict.claims.sub !== subject) return refused('key')
    if (!isOfBody(verdict.claims, request, settings)) return refused('signature')
    return {
      kind: 'accepted',
      // A token that is good for many bodies says when it was issued, and not when any of them was sent.
      signedAt: textSetting(settings, 'bodyDigestClaim') === undefined ? null : verdict.issuedAt,
      ...describeEvent(request, settings),
    }
  },
  settings: [
    ...['jwksUrl', 'issuer', 'audience', 'subject', 'header', 'bodyDigestClaim'],
    ...describedSettings,
  ],
  flaws: ({ settings }) => [
    ...['jwksUrl', 'issuer', 'audience'].flatMap((name) => flawOfMissing(settings, name)),
    ...flawsOfPointers(settings),
  ],
  answers: {
    accepted: { status: 200 },
    duplicate: { status: 200 },
    refused: { status: 401, headers: { 'www-authenticate': 'Bearer' } },
  },
}

function read(settings: Settings) {
  return {
    header: headerSetting(settings, 'header') ?? 'authorization',
    keysUrl: textSetting(settings, 'jwksUrl'),
    issuer: textSetting(settings, 'issuer'),
    audience: textSetting(settings, 'audience'),
  }
}

function isOfBody(claims: Members, { body }: IncomingRequest, settings: Settings): boolean {
  const name = textSetting(settings, 'bodyDigestClaim')
  if (name === undefined) return true
  const claimed = Object.hasOwn(claims, name) ? claims[name] : undefined
  if (typeof claimed !== 'string') return false
  const digest = createHash('sha256').update(body).digest()
  return (['hex', 'base64', 'base64url'] as const).some((encoding) =>
    isSameText(claimed, digest.toString(encoding)),
  )
}
