import { createPublicKey, verify as isVerified, type KeyObject } from 'node:crypto'
import { refused, type Scheme } from '../scheme.ts'
import { isBase64 } from './mac.ts'
import { isTimely, readUnixSeconds } from './moment.ts'
import { commonName, isObject, nameOf, readJson, valueAt } from './payload.ts'
import { flawsOfSecrets, numberSetting } from './settings.ts'

/**
 * An event is sent again for a day, and whether with a new time is not published. What is believed
 * for that long is still taken once: the same body and time are known for longer.
 */
const dayInSeconds = 24 * 60 * 60

/**
 * Twilio SendGrid's event webhook: ECDSA over P-256 and SHA-256 of time and body. Secrets are its
 * public verification keys, in base64 as they are shown there, or PEM. Settings: `toleranceSeconds`.
 */
export const sendgrid: Scheme = {
  async verify({ headers, body }, { now, secrets, settings }) {
    const signature = headers['x-twilio-email-event-webhook-signature']
    const timestamp = headers['x-twilio-email-event-webhook-timestamp']
    if (signature === undefined || timestamp === undefined) return refused('missing')
    const signedAt = readUnixSeconds(timestamp)
    if (signedAt === undefined || !isBase64(signature)) return refused('malformed')
    const keys = secrets.map(readKey).filter((key) => key !== undefined)
    if (keys.length === 0) return refused('key')

    const content = Buffer.concat([Buffer.from(timestamp), body])
    const bytes = Buffer.from(signature, 'base64')
    if (!keys.some((key) => isVerified('sha256', content, key, bytes))) return refused('signature')
    const tolerance = numberSetting(settings, 'toleranceSeconds', dayInSeconds)
    if (!isTimely(signedAt, now, tolerance)) return refused('timestamp')

    const payload = readJson(body)
    const events = Array.isArray(payload) ? payload : []
    const types = events.map((event) => nameOf(valueAt(event, 'event')))
    return {
      kind: 'accepted',
      providerEventId: events.length === 1 ? nameOf(valueAt(events[0], 'sg_event_id')) : null,
      signedAt,
      eventType: commonName(types),
      isDrift: events.length === 0 || !events.every(isObject) || types.includes(null),
    }
  },
  settings: ['toleranceSeconds'],
  flaws: ({ secrets }) =>
    flawsOfSecrets(
      secrets,
      'must be a public key for ECDSA over P-256, in base64 or PEM',
      (secret) => readKey(secret) !== undefined,
    ),
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 401 } },
}

function readKey(secret: string): KeyObject | undefined {
  try {
    const key = secret.startsWith('-----BEGIN ')
      ? createPublicKey(secret)
      : createPublicKey({ key: Buffer.from(secret, 'base64'), format: 'der', type: 'spki' })
    const isFit = key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    return isFit ? key : undefined
  } catch {
    return undefined
  }
}
