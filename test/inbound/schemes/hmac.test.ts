import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, test } from 'vitest'
import type { Settings } from '#inbound/scheme.ts'
import { schemes } from '#inbound/schemes.ts'
import { accepted, now, nowSeconds, reasonOf, refusesWhatWasChanged } from './fixture.ts'

const scheme = 'HMAC'
const secret = 'a secret of the two of us'
const body = '{"event": {"id": "e/1", "kind": "order.paid"}, "name": "Zoë"}'
const hex = (content: string, algorithm = 'sha256', key: string | Buffer = secret) =>
  createHmac(algorithm, key).update(content).digest('hex')
const base64 = (content: string, key: string | Buffer = secret) =>
  createHmac('sha256', key).update(content).digest('base64')

refusesWhatWasChanged({
  name: scheme,
  sent: { body, headers: { 'X-Webhook-Signature': hex(body) } },
  context: { secrets: [secret] },
  foreign: { secrets: ['a secret of others'] },
  covered: ['X-Webhook-Signature'],
})

const timed: Settings = {
  header: 'X-Acme-Signature',
  prefix: 'v0=',
  signedContent: 'v0:{id}:{timestamp}:{body}',
  timestampHeader: 'X-Acme-Time',
  eventIdHeader: 'X-Acme-Id',
}
const timedSent = (time: string | number = nowSeconds) => ({
  body,
  headers: {
    'X-Acme-Signature': `v0=${hex(`v0:e1:${time}:${body}`)}`,
    'X-Acme-Time': String(time),
    'X-Acme-Id': 'e1',
  },
})

describe('with id and time signed', () => {
  refusesWhatWasChanged({
    name: scheme,
    sent: timedSent(),
    context: { secrets: [secret], settings: timed },
    foreign: { secrets: ['a secret of others'] },
    covered: ['X-Acme-Signature', 'X-Acme-Time', 'X-Acme-Id'],
  })
})

describe('a signature is taken as the settings describe it', () => {
  const key = Buffer.from('00ff10203040506070', 'hex')
  const cases: [
    what: string,
    settings: Settings,
    headers: Record<string, string>,
    secret?: string,
  ][] = [
    ['capital digits', {}, { 'x-webhook-signature': hex(body).toUpperCase() }],
    ['base64', { encoding: 'BASE64' }, { 'x-webhook-signature': base64(body) }],
    [
      'base64url',
      { encoding: 'BASE64URL' },
      { 'x-webhook-signature': createHmac('sha256', secret).update(body).digest('base64url') },
    ],
    ['SHA-1', { algorithm: 'SHA1' }, { 'x-webhook-signature': hex(body, 'sha1') }],
    ['SHA-512', { algorithm: 'SHA512' }, { 'x-webhook-signature': hex(body, 'sha512') }],
    [
      'another header and a prefix',
      { header: 'X-Hub-Signature-256', prefix: 'sha256=' },
      { 'x-hub-signature-256': `sha256=${hex(body)}` },
    ],
    [
      'a secret in base64',
      { secretEncoding: 'BASE64' },
      { 'x-webhook-signature': hex(body, 'sha256', key) },
      key.toString('base64'),
    ],
    [
      'a secret in hexadecimal digits',
      { secretEncoding: 'HEX' },
      { 'x-webhook-signature': hex(body, 'sha256', key) },
      key.toString('hex'),
    ],
    [
      'time and signatures in one header, apart by commas',
      {
        prefix: 'v1=',
        timestampPrefix: 't=',
        signedContent: '{timestamp},{body}',
      },
      {
        'x-webhook-signature': `t=${nowSeconds},v1=${hex('other')},v1=${hex(`${nowSeconds},${body}`)}`,
      },
    ],
    [
      'time and signature in one header, apart by semicolons',
      { prefix: 'h1=', timestampPrefix: 'ts=', signedContent: '{timestamp}:{body}' },
      { 'x-webhook-signature': `ts=${nowSeconds};h1=${hex(`${nowSeconds}:${body}`)}` },
    ],
  ]
  test.each(cases)('%s', async (_, settings, headers, own = secret) => {
    const context = { secrets: ['another', own], settings }
    await accepted(scheme, { body, headers }, context)
    assert.equal(await reasonOf(scheme, { body: `${body} `, headers }, context), 'signature')
    assert.deepEqual(schemes[scheme].flaws({ secrets: [own], settings }), [])
  })
})

test('a prefix that is asked for may not be missing', async () => {
  const settings = { prefix: 'sha256=' }
  const sent = { body, headers: { 'x-webhook-signature': hex(body) } }
  assert.equal(await reasonOf(scheme, sent, { secrets: [secret], settings }), 'malformed')
})

describe('a signed time is believed within the tolerance, in seconds, milliseconds or RFC 3339', () => {
  const at = (seconds: number) => new Date(now.getTime() + seconds * 1000)
  const writings: ((time: Date) => string)[] = [
    (time) => String(time.getTime() / 1000),
    (time) => String(time.getTime()),
    (time) => time.toISOString(),
    (time) => time.toISOString().replace('.000Z', '+00:00'),
  ]
  test.each([
    [-300, 'accepted'],
    [-301, 'timestamp'],
    [300, 'accepted'],
    [301, 'timestamp'],
  ])('%i s from now: %s', async (seconds, outcome) => {
    for (const write of writings) {
      const sent = timedSent(write(at(seconds)))
      const reason = await reasonOf(scheme, sent, { secrets: [secret], settings: timed })
      assert.equal(reason, outcome, write(at(seconds)))
    }
  })

  test('what is no time is malformed, and two are none', async () => {
    for (const time of ['soon', '1e9', '2026-11-22', '2026-13-45T99:99:99Z', '-5']) {
      const reason = await reasonOf(scheme, timedSent(time), { secrets: [secret], settings: timed })
      assert.equal(reason, 'malformed', time)
    }
    const settings = { prefix: 'v1=', timestampPrefix: 't=', signedContent: '{timestamp}.{body}' }
    const signature = hex(`${nowSeconds}.${body}`)
    const header = `t=${nowSeconds},t=1,v1=${signature}`
    const sent = { body, headers: { 'x-webhook-signature': header } }
    assert.equal(await reasonOf(scheme, sent, { secrets: [secret], settings }), 'missing')
  })

  test('a time that is not signed is not told', async () => {
    const headers = { 'x-webhook-signature': hex(body), 'x-acme-time': '1' }
    const settings = { timestampHeader: 'X-Acme-Time' }
    const verdict = await accepted(scheme, { body, headers }, { secrets: [secret], settings })
    assert.equal(verdict.signedAt, null)
  })
})

test('id and type of the event are found where the settings say', async () => {
  const headers = { 'x-webhook-signature': hex(body), 'x-kind': 'order.sent' }
  const read = (settings: Settings) =>
    accepted(scheme, { body, headers }, { secrets: [secret], settings })
  const byPointer = await read({ eventIdPointer: '/event/id', eventTypePointer: '/event/kind' })
  assert.deepEqual([byPointer.providerEventId, byPointer.eventType], ['e/1', 'order.paid'])
  const byHeader = await read({ eventTypeHeader: 'X-Kind', eventTypePointer: '/event/kind' })
  assert.deepEqual([byHeader.providerEventId, byHeader.eventType], [null, 'order.sent'])
  const nowhere = await read({ eventIdPointer: '/constructor/name', eventTypePointer: '/event' })
  assert.deepEqual([nowhere.providerEventId, nowhere.eventType], [null, null])
})

test('a payload is drift when it is not the JSON that its content type says', async () => {
  const drift = async (text: string, type: string) => {
    const headers = { 'x-webhook-signature': hex(text), 'content-type': type }
    return (await accepted(scheme, { body: text, headers }, { secrets: [secret] })).isDrift
  }
  assert.equal(await drift('a=1', 'application/json'), true)
  assert.equal(await drift('a=1', 'application/cloudevents+json; charset=utf-8'), true)
  assert.equal(await drift('a=1', 'application/x-www-form-urlencoded'), false)
  assert.equal(await drift('[1]', 'application/json'), false)
})

describe('a configuration that could never verify anything is told by its field', () => {
  const cases: [settings: Settings, secret: string, pointer: string][] = [
    [{ signedContent: '{timestamp}' }, secret, '/settings/signedContent'],
    [{ signedContent: '{url}{body}' }, secret, '/settings/signedContent'],
    [{ signedContent: '{timestamp}.{body}' }, secret, '/settings/timestampHeader'],
    [{ signedContent: '{id}.{body}' }, secret, '/settings/eventIdHeader'],
    [{ eventIdPointer: 'event/id' }, secret, '/settings/eventIdPointer'],
    [{ eventTypePointer: '/a~2' }, secret, '/settings/eventTypePointer'],
    [{ secretEncoding: 'HEX' }, 'abc', '/secrets/0'],
    [{ secretEncoding: 'BASE64' }, '!', '/secrets/0'],
    [{}, '', '/secrets/0'],
  ]
  test.each(cases)('%j with %j: %s', (settings, own, pointer) => {
    const flaws = schemes[scheme].flaws({ secrets: [own], settings })
    assert.ok(flaws.some((flaw) => flaw.pointer === pointer))
  })
})

test('an empty key is known to everybody and signs nothing', async () => {
  const sent = { body, headers: { 'x-webhook-signature': hex(body, 'sha256', '') } }
  for (const [own, settings] of [
    ['', {}],
    ['!', { secretEncoding: 'BASE64' }],
    ['xyz', { secretEncoding: 'HEX' }],
  ] as const) {
    assert.equal(await reasonOf(scheme, sent, { secrets: [own], settings }), 'signature', own)
  }
})
