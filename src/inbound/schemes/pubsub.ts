import { type IncomingRequest, refused, type Scheme } from '../scheme.ts'
import { nameOf, readJson, valueAt } from './payload.ts'
import { flawOfMissing, textSetting } from './settings.ts'
import { bearerOf, judgeToken } from './token.ts'

/** Where Google publishes the keys of its tokens, and as whom it signs them. */
const keysUrl = 'https://www.googleapis.com/oauth2/v3/certs'
const issuers = ['https://accounts.google.com', 'accounts.google.com']

/**
 * Google Cloud Pub/Sub push, by which Gmail tells of changes: a token that Google signed for the push
 * subscription's service account. Any customer of Google can have a token for any audience, so that
 * the account has to be ours: `audience` and `serviceAccountEmail` are both required. `subscription`,
 * its full name, may be held to as well. The token does not cover the body.
 */
export const pubsub: Scheme = {
  async verify(request, { now, settings, fetchKeys }) {
    const header = request.headers.authorization
    if (header === undefined) return refused('missing')
    const token = bearerOf(header)
    if (token === undefined) return refused('malformed')
    const audience = textSetting(settings, 'audience')
    const email = textSetting(settings, 'serviceAccountEmail')
    if (!audience || !email) return refused('key')

    const rules = { keysUrl, issuers, audiences: [audience] }
    const verdict = await judgeToken(token, rules, now, fetchKeys)
    if (verdict.kind !== 'accepted') return verdict
    const { claims, issuedAt } = verdict
    if (claims.email !== email || claims.email_verified !== true) return refused('key')

    const push = readPush(request)
    const expected = textSetting(settings, 'subscription')
    if (expected !== undefined && push.subscription !== expected) return refused('key')
    return {
      kind: 'accepted',
      providerEventId: push.messageId,
      signedAt: issuedAt,
      eventType: nameOf(push.eventType),
      isDrift: push.messageId === null,
    }
  },
  settings: ['audience', 'serviceAccountEmail', 'subscription'],
  flaws: ({ settings }) =>
    ['audience', 'serviceAccountEmail'].flatMap((name) => flawOfMissing(settings, name)),
  keysUrl,
  answers: { accepted: { status: 204 }, duplicate: { status: 204 }, refused: { status: 401 } },
}

/** A message in its wrapping, or the payload alone with what was on the wrapping in headers. */
function readPush({ headers, body }: IncomingRequest) {
  const payload = readJson(body)
  const messageId = nameOf(valueAt(payload, 'message', 'messageId'))
  if (messageId !== null) {
    return {
      messageId,
      subscription: valueAt(payload, 'subscription'),
      eventType: valueAt(payload, 'message', 'attributes', 'eventType'),
    }
  }
  return {
    messageId: nameOf(headers['x-goog-pubsub-message-id']),
    subscription: headers['x-goog-pubsub-subscription-name'],
    eventType: headers['x-goog-pubsub-attr-eventtype'],
  }
}
