import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { EventWebhook } from '@sendgrid/eventwebhook'
import { describe, test } from 'vitest'
import { schemes } from '#inbound/schemes.ts'
import { accepted, now, nowSeconds, reasonOf, refusesWhatWasChanged } from './fixture.ts'

const scheme = 'SENDGRID'
const signatureHeader = 'X-Twilio-Email-Event-Webhook-Signature'
const timestampHeader = 'X-Twilio-Email-Event-Webhook-Timestamp'

const curve = { namedCurve: 'prime256v1' }
const pair = generateKeyPairSync('ec', curve)
const shown = pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')
const foreign = generateKeyPairSync('ec', curve).publicKey
const context = { secrets: [shown] }
const events = [{ email: 'zoë@example.com', event: 'delivered', sg_event_id: 'e1', timestamp: 1 }]

function signed(payload: unknown = events, seconds = nowSeconds) {
  const body = typeof payload === 'string' ? payload : `${JSON.stringify(payload)}\r\n`
  const signature = sign('sha256', Buffer.from(seconds + body), pair.privateKey).toString('base64')
  return { body, headers: { [signatureHeader]: signature, [timestampHeader]: String(seconds) } }
}

refusesWhatWasChanged({
  name: scheme,
  sent: signed(),
  context,
  foreign: { secrets: [foreign.export({ format: 'pem', type: 'spki' }).toString()] },
  covered: [signatureHeader, timestampHeader],
})

/** What SendGrid's own library says of the same request. */
function isValid({ body, headers }: ReturnType<typeof signed>, key = shown): boolean {
  const webhook = new EventWebhook()
  const [signature = '', timestamp = ''] = [headers[signatureHeader], headers[timestampHeader]]
  return webhook.verifySignature(webhook.convertPublicKeyToECDSA(key), body, signature, timestamp)
}

test("what SendGrid's own library takes is accepted, and what it does not take is refused", async () => {
  assert.equal(isValid(signed()), true)
  const verdict = await accepted(scheme, signed(), context)
  const expected = { providerEventId: 'e1', signedAt: now, eventType: 'delivered', isDrift: false }
  assert.deepEqual(verdict, expected)

  const changed = { ...signed(), body: JSON.stringify(events) }
  assert.equal(isValid(changed), false)
  assert.equal(await reasonOf(scheme, changed, context), 'signature')
})

test("the vector of SendGrid's own library is accepted", async () => {
  const published = {
    key: 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==',
    signature:
      'MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=',
    timestamp: '1600112502',
    body: `${JSON.stringify([
      {
        email: 'hello@world.com',
        event: 'dropped',
        reason: 'Bounced Address',
        sg_event_id: 'ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA',
        sg_message_id: 'LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0',
        'smtp-id': '<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>',
        timestamp: 1600112492,
      },
    ])}\r\n`,
  }
  const { signature, timestamp } = published
  const headers = { [signatureHeader]: signature, [timestampHeader]: timestamp }
  const sent = { body: published.body, headers }
  assert.equal(isValid(sent, published.key), true)
  const then = new Date(1_600_112_502_000)
  const verdict = await accepted(scheme, sent, { secrets: [published.key], now: then })
  assert.equal(verdict.eventType, 'dropped')
})

test('a key may be PEM, and while keys change either one is enough', async () => {
  const pem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const other = foreign.export({ format: 'der', type: 'spki' }).toString('base64')
  await accepted(scheme, signed(), { secrets: [other, pem] })
})

describe('a time is believed for the day that events are sent again, or as settings say', () => {
  test.each([
    [-86_400, {}, 'accepted'],
    [-86_401, {}, 'timestamp'],
    [300, {}, 'accepted'],
    [301, {}, 'timestamp'],
    [-61, { toleranceSeconds: 60 }, 'timestamp'],
    [61, { toleranceSeconds: 60 }, 'timestamp'],
  ])('%i s from now, with %j: %s', async (seconds, settings, outcome) => {
    const sent = signed(events, nowSeconds + seconds)
    assert.equal(await reasonOf(scheme, sent, { ...context, settings }), outcome)
  })
})

test('a batch has the type that all of it shares and no id; what is no batch is drift', async () => {
  const two = [...events, { event: 'open', sg_event_id: 'e2' }]
  const verdict = await accepted(scheme, signed(two), context)
  assert.deepEqual(
    [verdict.providerEventId, verdict.eventType, verdict.isDrift],
    [null, null, false],
  )
  for (const payload of ['no json', {}, [], [7], [{}], [...events, null]]) {
    const drift = await accepted(scheme, signed(payload), context)
    assert.equal(drift.isDrift, true, JSON.stringify(payload))
  }
})

test('a key of another curve or kind, or none at all, is told as a flaw and accepts nothing', async () => {
  const bad = [
    generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).publicKey,
    generateKeyPairSync('ed25519').publicKey,
  ].map((key) => key.export({ format: 'der', type: 'spki' }).toString('base64'))
  for (const key of [...bad, 'AAAA', '', '-----BEGIN PUBLIC KEY-----\nAAAA\n']) {
    const flaws = schemes[scheme].flaws({ secrets: [key], settings: {} })
    assert.deepEqual(
      flaws.map(({ pointer }) => pointer),
      ['/secrets/0'],
      key,
    )
    assert.equal(await reasonOf(scheme, signed(), { secrets: [key] }), 'key', key)
  }
  assert.deepEqual(schemes[scheme].flaws({ secrets: [shown], settings: {} }), [])
})
