import { refused, type Scheme, type Verdict } from '../scheme.ts'
import { isSigned, textKeys } from './mac.ts'
import { isTimely, readUnixSeconds, usualToleranceSeconds } from './moment.ts'
import { nameOf, readJson, valueAt } from './payload.ts'
import { flawsOfSecrets, numberSetting } from './settings.ts'

const prefix = 'v0='

/**
 * Slack: `X-Slack-Signature: v0=<hex>` over `v0:<time>:<body>`. The challenge by which Slack makes
 * sure of an address is signed like all else, so that nobody learns by it what is listened to.
 * Settings: `toleranceSeconds`.
 */
export const slack: Scheme = {
  async verify({ headers, body }, { now, secrets, settings }) {
    const signature = headers['x-slack-signature']
    const timestamp = headers['x-slack-request-timestamp']
    if (signature === undefined || timestamp === undefined) return refused('missing')
    const signedAt = readUnixSeconds(timestamp)
    if (signedAt === undefined || !signature.startsWith(prefix)) return refused('malformed')

    const content = [`v0:${timestamp}:`, body]
    const signatures = [signature.slice(prefix.length)]
    if (!isSigned({ content, signatures, encoding: 'hex' }, textKeys(secrets))) {
      return refused('signature')
    }
    const tolerance = numberSetting(settings, 'toleranceSeconds', usualToleranceSeconds)
    if (!isTimely(signedAt, now, tolerance)) return refused('timestamp')
    const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded')
    return isForm ? judgeForm(body, signedAt) : judgeEvent(body, signedAt)
  },
  settings: ['toleranceSeconds'],
  flaws: ({ secrets }) => flawsOfSecrets(secrets, 'must be the signing secret of the app'),
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 401 } },
}

function judgeEvent(body: Buffer, signedAt: Date): Verdict {
  const payload = readJson(body)
  const type = nameOf(valueAt(payload, 'type'))
  const challenge = valueAt(payload, 'challenge')
  if (type === 'url_verification' && typeof challenge === 'string') {
    const headers = { 'content-type': 'text/plain; charset=utf-8' }
    return { kind: 'handshake', answer: { status: 200, headers, body: challenge } }
  }
  return {
    kind: 'accepted',
    providerEventId: nameOf(valueAt(payload, 'event_id')),
    signedAt,
    eventType: nameOf(valueAt(payload, 'event', 'type')) ?? type,
    isDrift: type === null,
  }
}

/** Commands and clicks come as forms: a command as its fields, a click as JSON in one of them. */
function judgeForm(body: Buffer, signedAt: Date): Verdict {
  const form = new URLSearchParams(body.toString())
  const payload = readJson(Buffer.from(form.get('payload') ?? ''))
  const eventType = nameOf(form.get('command')) ?? nameOf(valueAt(payload, 'type'))
  const isDrift = eventType === null
  return { kind: 'accepted', providerEventId: null, signedAt, eventType, isDrift }
}
