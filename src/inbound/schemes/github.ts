import { refused, type Scheme } from '../scheme.ts'
import { isSigned, textKeys } from './mac.ts'
import { isObject, nameOf, readJson } from './payload.ts'
import { flawsOfSecrets } from './settings.ts'

const prefix = 'sha256='

/**
 * GitHub: `X-Hub-Signature-256: sha256=<hex>` over the body. Neither a time nor the id of the delivery
 * is signed; the id is the same when a delivery is sent again. The older SHA-1 header is not looked at.
 */
export const github: Scheme = {
  async verify({ headers, body }, { secrets }) {
    const signature = headers['x-hub-signature-256']
    if (signature === undefined) return refused('missing')
    if (!signature.startsWith(prefix)) return refused('malformed')
    const signatures = [signature.slice(prefix.length)]
    const claim = { content: [body], signatures, encoding: 'hex' } as const
    if (!isSigned(claim, textKeys(secrets))) return refused('signature')

    return {
      kind: 'accepted',
      providerEventId: nameOf(headers['x-github-delivery']),
      signedAt: null,
      eventType: nameOf(headers['x-github-event']),
      isDrift: !isObject(payloadOf(headers['content-type'], body)),
    }
  },
  settings: [],
  flaws: ({ secrets }) => flawsOfSecrets(secrets, 'must be the secret of the webhook'),
  answers: { accepted: { status: 202 }, duplicate: { status: 202 }, refused: { status: 401 } },
}

/** A webhook may be set up to send its JSON as a field of a form. */
function payloadOf(contentType: string | undefined, body: Buffer): unknown {
  if (!contentType?.startsWith('application/x-www-form-urlencoded')) return readJson(body)
  const payload = new URLSearchParams(body.toString()).get('payload')
  return payload === null ? undefined : readJson(Buffer.from(payload))
}
