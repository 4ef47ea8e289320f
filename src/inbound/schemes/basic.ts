import { refused, type Scheme } from '../scheme.ts'
import { describedSettings, describeEvent, flawsOfPointers } from './described.ts'
import { isBase64, isSameText } from './mac.ts'
import { flawsOfSecrets } from './settings.ts'

/**
 * Basic authentication (RFC 7617): a secret is `username:password`. Like a shared secret it protects
 * neither the body nor against what is sent again. Settings: where id and type of the event stand.
 */
export const basic: Scheme = {
  async verify(request, { secrets, settings }) {
    const header = request.headers.authorization
    if (header === undefined) return refused('missing')
    const [, encoded] = /^basic +(\S+) *$/i.exec(header) ?? []
    if (encoded === undefined || !isBase64(encoded)) return refused('malformed')
    const given = Buffer.from(encoded, 'base64').toString()
    const known = secrets.filter(isPair)
    if (!known.some((secret) => isSameText(given, secret))) return refused('signature')
    return { kind: 'accepted', signedAt: null, ...describeEvent(request, settings) }
  },
  settings: describedSettings,
  flaws: ({ secrets, settings }) => [
    ...flawsOfSecrets(secrets, 'must be `username:password`', isPair),
    ...flawsOfPointers(settings),
  ],
  answers: {
    accepted: { status: 200 },
    duplicate: { status: 200 },
    refused: { status: 401, headers: { 'www-authenticate': 'Basic realm="webhooks"' } },
  },
}

/** A pair without a password would be known to all who know the name. */
function isPair(secret: string): boolean {
  return /^[^:]*:.+$/s.test(secret)
}
