import { refused, type Scheme } from '../scheme.ts'
import { describedSettings, describeEvent, flawsOfPointers } from './described.ts'
import { isSameText } from './mac.ts'
import { flawsOfSecrets, headerSetting, textSetting } from './settings.ts'

/**
 * A secret that is sent along with each request, in a header. It protects neither the body nor
 * against what is sent again: whoever saw one request can make others. Settings: `header`
 * (`X-Webhook-Secret`), `prefix`, and where id and type of the event stand.
 */
export const sharedSecret: Scheme = {
  async verify(request, { secrets, settings }) {
    const header = headerSetting(settings, 'header') ?? 'x-webhook-secret'
    const given = request.headers[header]
    if (given === undefined) return refused('missing')
    const prefix = textSetting(settings, 'prefix') ?? ''
    if (!given.startsWith(prefix)) return refused('malformed')
    const known = secrets.filter((secret) => secret !== '')
    const isKnown = known.some((secret) => isSameText(given.slice(prefix.length), secret))
    if (!isKnown) return refused('signature')
    return { kind: 'accepted', signedAt: null, ...describeEvent(request, settings) }
  },
  settings: ['header', 'prefix', ...describedSettings],
  flaws: ({ secrets, settings }) => [
    ...flawsOfSecrets(secrets, 'must not be empty'),
    ...flawsOfPointers(settings),
  ],
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 401 } },
}
