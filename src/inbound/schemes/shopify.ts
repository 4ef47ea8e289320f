import { refused, type Scheme } from '../scheme.ts'
import { isSigned, textKeys } from './mac.ts'
import { isObject, nameOf, readJson } from './payload.ts'
import { flawsOfSecrets } from './settings.ts'

/**
 * Shopify: `X-Shopify-Hmac-SHA256: <base64>` over the body, under the app's client secret. No time is
 * signed. `X-Shopify-Webhook-Id` names the delivery, the same on every retry.
 */
export const shopify: Scheme = {
  async verify({ headers, body }, { secrets }) {
    const signature = headers['x-shopify-hmac-sha256']
    if (signature === undefined) return refused('missing')
    const claim = { content: [body], signatures: [signature], encoding: 'base64' } as const
    if (!isSigned(claim, textKeys(secrets))) return refused('signature')

    return {
      kind: 'accepted',
      providerEventId: nameOf(headers['x-shopify-webhook-id']),
      signedAt: null,
      eventType: nameOf(headers['x-shopify-topic']),
      isDrift: !isObject(readJson(body)),
    }
  },
  settings: [],
  flaws: ({ secrets }) => flawsOfSecrets(secrets, 'must be the client secret of the app'),
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 401 } },
}
