import { refused, type Scheme } from '../scheme.ts'
import { isSigned, textKeys } from './mac.ts'
import { isTimely, readUnixSeconds, usualToleranceSeconds } from './moment.ts'
import { nameOf, readJson, valueAt } from './payload.ts'
import { flawsOfSecrets, numberSetting } from './settings.ts'

/**
 * Stripe: `Stripe-Signature: t=<unix>,v1=<hex>[,v1=…]` over `<t>.<body>`, with the whole `whsec_…` as
 * text for a key. Its own library takes times of any future; we do not. Thin events (`v2.core.event`)
 * have their id and type in the same places. Settings: `toleranceSeconds`.
 */
export const stripe: Scheme = {
  async verify({ headers, body }, { now, secrets, settings }) {
    const header = headers['stripe-signature']
    if (header === undefined) return refused('missing')
    const times = itemsOf(header, 't')
    const signatures = itemsOf(header, 'v1')
    // Two times would leave open which of them was judged.
    const [time = '', ...more] = times
    const signedAt = readUnixSeconds(time)
    if (signedAt === undefined || more.length > 0) return refused('malformed')
    if (signatures.length === 0) return refused('malformed')

    const claim = { content: [`${time}.`, body], signatures, encoding: 'hex' } as const
    if (!isSigned(claim, textKeys(secrets))) return refused('signature')
    const tolerance = numberSetting(settings, 'toleranceSeconds', usualToleranceSeconds)
    if (!isTimely(signedAt, now, tolerance)) return refused('timestamp')

    const event = readJson(body)
    const providerEventId = nameOf(valueAt(event, 'id'))
    const eventType = nameOf(valueAt(event, 'type'))
    const isDrift = providerEventId === null || eventType === null
    return { kind: 'accepted', providerEventId, signedAt, eventType, isDrift }
  },
  settings: ['toleranceSeconds'],
  flaws: ({ secrets }) => flawsOfSecrets(secrets, 'must be the signing secret of the endpoint'),
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 401 } },
}

function itemsOf(header: string, name: string): string[] {
  return header.split(',').flatMap((item) => {
    const [key = '', ...value] = item.trim().split('=')
    return key === name ? [value.join('=')] : []
  })
}
