import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'vitest'
import type { InboundScheme, SchemeContext } from '#inbound/scheme.ts'
import { schemes } from '#inbound/schemes.ts'
import { certify } from './certificate.ts'
import { flipBit, now, nowSeconds, reasonOf, type Sent } from './fixture.ts'
import { createIssuer, publish } from './issuer.ts'

/*
 * All schemes in one table: what each owes, and of those that sign a moment, that they believe it for so
 * long and no longer. Whoever adds a scheme adds its line here.
 */
interface Line {
  /** A webhook as its sender makes it at this moment. */
  sent(body: string, seconds: number): Promise<Sent> | Sent
  body?: string
  context: Partial<SchemeContext>
  foreign: Partial<SchemeContext>
  /** How long before, and how long ahead, a signed moment is believed; none where none is signed. */
  believedSeconds?: { past: number; future: number }
  /** What was signed is not the body. */
  isBodyFree?: true
}

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const foreign = { secrets: ['whsec_bmV3IHNlY3JldCBmb3IgdGhlIHdlYiBzaG9w'] }
const json = '{"id": "evt_1", "type": "order.paid", "data": {"n": 1.0}}'
const mac = (key: string | Buffer, text: string, as: 'hex' | 'base64') =>
  createHmac('sha256', key).update(text).digest(as)
const fiveMinutes = { past: 300, future: 300 }

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const otherEc = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const derOf = ({ publicKey }: typeof ec) =>
  publicKey.export({ format: 'der', type: 'spki' }).toString('base64')

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const topic = 'arn:aws:sns:us-west-2:123456789012:ours'
const certificateUrl = 'https://sns.us-west-2.amazonaws.com/SimpleNotificationService-1.pem'
const decade = 10 * 365 * 24 * 60 * 60 * 1_000
const from = new Date(now.getTime() - decade)
const to = new Date(now.getTime() + decade)
const amazon = publish({ [certificateUrl]: certify({ privateKey: rsa.privateKey, from, to }) })
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const impostor = publish({
  [certificateUrl]: certify({ privateKey: otherRsa.privateKey, from, to }),
})

const issuer = await createIssuer('one')
const stranger = await createIssuer('one')
const keysOf = (url: string, by = issuer) => publish({ [url]: { keys: [by.jwk] } })
const googleUrl = 'https://www.googleapis.com/oauth2/v3/certs'
const jwksUrl = 'https://issuer.example/keys'
/** A token that was issued then, for an hour. */
const tokenAt = (seconds: number, claims: object) =>
  issuer.token({ iat: seconds, exp: seconds + 3_600, ...claims })
const anHour = { past: 3_659, future: 60 }

const table: Record<InboundScheme, Line> = {
  STANDARD_WEBHOOKS: {
    sent: (body, seconds) => {
      const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
      const signature = `v1,${mac(key, `msg_1.${seconds}.${body}`, 'base64')}`
      const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': String(seconds) }
      return { body, headers: { ...headers, 'webhook-signature': signature } }
    },
    ...{ context: { secrets: [secret] }, foreign, believedSeconds: fiveMinutes },
  },
  STRIPE: {
    sent: (body, seconds) => {
      const v1 = mac(secret, `${seconds}.${body}`, 'hex')
      return { body, headers: { 'stripe-signature': `t=${seconds},v1=${v1}` } }
    },
    ...{ context: { secrets: [secret] }, foreign, believedSeconds: fiveMinutes },
  },
  SLACK: {
    sent: (body, seconds) => {
      const signature = `v0=${mac(secret, `v0:${seconds}:${body}`, 'hex')}`
      const headers = { 'x-slack-request-timestamp': String(seconds) }
      return { body, headers: { ...headers, 'x-slack-signature': signature } }
    },
    ...{ context: { secrets: [secret] }, foreign, believedSeconds: fiveMinutes },
  },
  HMAC: {
    sent: (body, seconds) => {
      const headers = { 'x-at': String(seconds) }
      return {
        body,
        headers: { ...headers, 'x-signature': mac(secret, `${seconds}.${body}`, 'hex') },
      }
    },
    context: {
      secrets: [secret],
      settings: {
        ...{ header: 'X-Signature', signedContent: '{timestamp}.{body}' },
        timestampHeader: 'X-At',
      },
    },
    ...{ foreign, believedSeconds: fiveMinutes },
  },
  SENDGRID: {
    sent: (body, seconds) => {
      const signature = sign('sha256', Buffer.from(`${seconds}${body}`), ec.privateKey)
      return {
        body,
        headers: {
          'x-twilio-email-event-webhook-timestamp': String(seconds),
          'x-twilio-email-event-webhook-signature': signature.toString('base64'),
        },
      }
    },
    body: '[{"sg_event_id": "e", "event": "open"}]',
    ...{ context: { secrets: [derOf(ec)] }, foreign: { secrets: [derOf(otherEc)] } },
    believedSeconds: { past: 24 * 60 * 60, future: 300 },
  },
  SNS: {
    sent: (message, seconds) => {
      const fields: Record<string, string> = {
        ...{ Message: message, MessageId: 'm', Timestamp: new Date(seconds * 1_000).toISOString() },
        ...{ TopicArn: topic, Type: 'Notification' },
      }
      const content = Object.entries(fields).map(([name, value]) => `${name}\n${value}\n`)
      const signature = sign('sha256', Buffer.from(content.join('')), rsa.privateKey)
      const body = JSON.stringify({
        ...{ ...fields, SignatureVersion: '2', SigningCertURL: certificateUrl },
        Signature: signature.toString('base64'),
      })
      return { body, headers: {} }
    },
    context: { settings: { topicArns: [topic] }, fetchKeys: amazon.fetchKeys },
    foreign: { fetchKeys: impostor.fetchKeys },
    believedSeconds: { past: 24 * 60 * 60, future: 300 },
    // Fields are signed, whatever is between them.
    isBodyFree: true,
  },
  JWT: {
    sent: async (body, seconds) => {
      const token = await tokenAt(seconds, { iss: 'i', aud: 'a' })
      return { body, headers: { authorization: `Bearer ${token}` } }
    },
    context: { settings: { jwksUrl, issuer: 'i', audience: 'a' }, ...keysOf(jwksUrl) },
    ...{ foreign: keysOf(jwksUrl, stranger), believedSeconds: anHour, isBodyFree: true },
  },
  PUBSUB: {
    sent: async (body, seconds) => {
      const mine = { email: 'push@example.com', email_verified: true }
      const token = await tokenAt(seconds, { iss: 'accounts.google.com', aud: 'a', ...mine })
      return { body, headers: { authorization: `Bearer ${token}` } }
    },
    context: {
      settings: { audience: 'a', serviceAccountEmail: 'push@example.com' },
      ...keysOf(googleUrl),
    },
    ...{ foreign: keysOf(googleUrl, stranger), believedSeconds: anHour, isBodyFree: true },
  },
  GITHUB: {
    sent: (body) => ({
      body,
      headers: { 'x-hub-signature-256': `sha256=${mac(secret, body, 'hex')}` },
    }),
    ...{ context: { secrets: [secret] }, foreign },
  },
  SHOPIFY: {
    sent: (body) => ({ body, headers: { 'x-shopify-hmac-sha256': mac(secret, body, 'base64') } }),
    ...{ context: { secrets: [secret] }, foreign },
  },
  XERO: {
    sent: (body) => ({ body, headers: { 'x-xero-signature': mac(secret, body, 'base64') } }),
    body: '{"events": [{"eventCategory": "INVOICE", "eventType": "UPDATE"}]}',
    ...{ context: { secrets: [secret] }, foreign },
  },
  QUICKBOOKS: {
    sent: (body) => ({ body, headers: { 'intuit-signature': mac(secret, body, 'base64') } }),
    body: '[{"id": "1", "type": "qbo.invoice.created.v1"}]',
    ...{ context: { secrets: [secret] }, foreign },
  },
  MICROSOFT_GRAPH: {
    sent: (body) => ({ body, headers: {} }),
    body: `{"value": [{"clientState": "${secret}", "changeType": "updated"}]}`,
    ...{ context: { secrets: [secret] }, foreign, isBodyFree: true },
  },
  SHARED_SECRET: {
    sent: (body) => ({ body, headers: { 'x-secret': secret } }),
    context: { secrets: [secret], settings: { header: 'X-Secret' } },
    ...{ foreign, isBodyFree: true },
  },
  BASIC: {
    sent: (body) => {
      const pair = Buffer.from(`shop:${secret}`).toString('base64')
      return { body, headers: { authorization: `Basic ${pair}` } }
    },
    context: { secrets: [`shop:${secret}`] },
    ...{ foreign: { secrets: ['shop:other'] }, isBodyFree: true },
  },
}

const lines = Object.entries(table) as [InboundScheme, Line][]

test('every scheme stands in the table', () => {
  assert.deepEqual(Object.keys(table).sort(), Object.keys(schemes).sort())
})

test.each(lines)(
  '%s: what was just signed is accepted, and under a foreign secret it is not',
  async (name, line) => {
    const sent = await line.sent(line.body ?? json, nowSeconds)
    assert.equal(await reasonOf(name, sent, line.context), 'accepted')
    const reason = await reasonOf(name, sent, { ...line.context, ...line.foreign })
    assert.ok(['signature', 'key'].includes(reason), reason)
  },
)

const signing = lines.filter(([, line]) => !line.isBodyFree)

test.each(signing)(
  '%s: neither one bit may change, nor how the same JSON is written',
  async (name, line) => {
    const sent = await line.sent(line.body ?? json, nowSeconds)
    const body = Buffer.from(sent.body)
    const changed = [
      ...Array.from({ length: body.length * 8 }, (_, bit) => flipBit(body, bit)),
      JSON.stringify(JSON.parse(String(body))),
      JSON.stringify(JSON.parse(String(body)), null, 2),
      `${body}\n`,
      `\ufeff${body}`,
    ]
    for (const other of changed) {
      assert.equal(await reasonOf(name, { ...sent, body: other }, line.context), 'signature')
    }
  },
)

const timed = lines.filter(([, line]) => line.believedSeconds !== undefined)

test.each(timed)(
  '%s: a moment is believed for so long before and ahead, and no longer',
  async (name, line) => {
    const { past = 0, future = 0 } = line.believedSeconds ?? {}
    const reasonAt = async (seconds: number) =>
      await reasonOf(name, await line.sent(line.body ?? json, nowSeconds + seconds), line.context)
    assert.equal(await reasonAt(-past), 'accepted')
    assert.equal(await reasonAt(future), 'accepted')
    for (const seconds of [-past - 1, future + 1, -10 * 365 * 86_400, 365 * 86_400]) {
      assert.equal(await reasonAt(seconds), 'timestamp', `${seconds}`)
    }
  },
)

test.each(timed.filter(([, line]) => !line.isBodyFree))(
  '%s: an old signature does not become new by another moment beside it',
  async (name, line) => {
    const body = line.body ?? json
    const [old, fresh] = [
      await line.sent(body, nowSeconds - 100_000),
      await line.sent(body, nowSeconds),
    ]
    for (const header of Object.keys(fresh.headers)) {
      const mixed = { ...old.headers, [header]: fresh.headers[header] ?? '' }
      if (Object.keys(mixed).length === 1) continue
      const reason = await reasonOf(name, { body, headers: mixed }, line.context)
      const isWhole = JSON.stringify(mixed) === JSON.stringify(fresh.headers)
      assert.equal(reason === 'accepted', isWhole, header)
    }
  },
)
