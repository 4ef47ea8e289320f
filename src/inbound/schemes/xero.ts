import { type Answer, refused, type Scheme } from '../scheme.ts'
import { isSigned, textKeys } from './mac.ts'
import { commonName, nameOf, readJson, valueAt } from './payload.ts'
import { flawsOfSecrets } from './settings.ts'

/** Xero asks for an empty body and no cookies, whatever the status. */
const yes: Answer = { status: 200, body: '' }
const no: Answer = { status: 401, body: '' }

/**
 * Xero: `x-xero-signature: <base64>` over the body; the key is the webhook's key as text, not decoded.
 * A source is set up by several requests without events, some of them signed wrongly (*intent to
 * receive*): the good ones want 200, the bad ones 401. Sequence numbers are no ids of events, because
 * they begin anew with a webhook that is set up anew.
 */
export const xero: Scheme = {
  async verify({ headers, body }, { secrets }) {
    const signature = headers['x-xero-signature']
    if (signature === undefined) return refused('missing')
    const claim = { content: [body], signatures: [signature], encoding: 'base64' } as const
    if (!isSigned(claim, textKeys(secrets))) return refused('signature')

    const events = valueAt(readJson(body), 'events')
    if (Array.isArray(events) && events.length === 0) return { kind: 'handshake', answer: yes }
    const types = Array.isArray(events) ? events.map(typeOf) : []
    return {
      kind: 'accepted',
      providerEventId: null,
      signedAt: null,
      eventType: commonName(types),
      isDrift: types.length === 0 || types.includes(null),
      // Random letters (`entropy`) are there for it.
      isBodyUnique: true,
    }
  },
  settings: [],
  flaws: ({ secrets }) => flawsOfSecrets(secrets, 'must be the key of the webhook'),
  answers: { accepted: yes, duplicate: yes, refused: no },
}

/** `INVOICE.UPDATE` */
function typeOf(event: unknown): string | null {
  const category = nameOf(valueAt(event, 'eventCategory'))
  const type = nameOf(valueAt(event, 'eventType'))
  return category === null || type === null ? null : nameOf(`${category}.${type}`)
}
