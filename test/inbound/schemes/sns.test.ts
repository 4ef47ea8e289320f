import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer, globalAgent } from 'node:https'
import type { AddressInfo } from 'node:net'
import MessageValidator from 'sns-validator'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { schemes } from '#inbound/schemes.ts'
import { cert, host, key } from '../../egress/certificate.ts'
import { certify } from './certificate.ts'
import { accepted, now, reasonOf, refusesWhatWasChanged, type Sent, verdictOn } from './fixture.ts'
import { publish } from './issuer.ts'

const scheme = 'SNS'
const topic = 'arn:aws:sns:us-west-2:123456789012:MyTopic'
const certificateUrl =
  'https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem'
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const year = 365 * 24 * 60 * 60 * 1000
const certificate = (from: number, to: number, by = privateKey) =>
  certify({
    privateKey: by,
    from: new Date(now.getTime() + from),
    to: new Date(now.getTime() + to),
  })
const pem = certificate(-year, year)
const served = publish({ [certificateUrl]: pem })
const context = { settings: { topicArns: ['arn:other', topic] }, fetchKeys: served.fetchKeys }

type Fields = Record<string, string>
const notification: Fields = {
  Type: 'Notification',
  MessageId: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324',
  TopicArn: topic,
  Subject: 'My First Message',
  Message: 'Hello Zoë!\nSubject\nAnother',
  Timestamp: now.toISOString(),
}
const confirmation: Fields = {
  Type: 'SubscriptionConfirmation',
  MessageId: '165545c9-2a5c-472c-8df2-7ff2be2b3b1b',
  Token: '2336412f37',
  TopicArn: topic,
  Message: 'You have chosen to subscribe to the topic.',
  SubscribeURL: `https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${topic}&Token=2336412f37`,
  Timestamp: now.toISOString(),
}

/** Signs the fields that Amazon's documents name, in their order. */
function messageOf(fields: Fields, version = '2', changes: object = {}) {
  const names = Object.keys(fields).sort()
  const content = names.map((name) => `${name}\n${fields[name]}\n`).join('')
  const hash = version === '1' ? 'sha1' : 'sha256'
  return {
    ...fields,
    SignatureVersion: version,
    Signature: sign(hash, Buffer.from(content), privateKey).toString('base64'),
    SigningCertURL: certificateUrl,
    UnsubscribeURL: 'https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe',
    ...changes,
  }
}
const sentOf = (message: object): Sent => ({
  body: JSON.stringify(message),
  headers: { 'content-type': 'text/plain; charset=UTF-8' },
})
const signed = (fields = notification, version?: string, changes?: object) =>
  sentOf(messageOf(fields, version, changes))

/** Amazon's own validator, which fetches the certificate from a server of ours. */
const server = createServer({ cert, key }, (_, response) => response.end(pem))
const before = { ca: globalAgent.options.ca, lookup: globalAgent.options.lookup }

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  Object.assign(globalAgent.options, {
    ca: [cert],
    lookup: (_: string, options: { all?: boolean }, done: (...found: unknown[]) => void) =>
      options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4),
  })
})
afterAll(() => {
  Object.assign(globalAgent.options, before)
  globalAgent.destroy()
  server.close()
})

async function isValid(message: object): Promise<boolean> {
  const { port } = server.address() as AddressInfo
  const validator = new MessageValidator(new RegExp(`^${host}:${port}$`))
  const SigningCertURL = `https://${host}:${port}/service.pem`
  const { promise, resolve } = Promise.withResolvers<boolean>()
  validator.validate({ ...message, SigningCertURL }, (error) => resolve(error === null))
  return promise
}

/** The signature covers fields, not bytes: their order and the space between them are free. */
refusesWhatWasChanged({
  name: scheme,
  sent: signed(),
  context,
  foreign: publish({
    [certificateUrl]: certificate(
      -year,
      year,
      generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    ),
  }),
  covered: [],
  isBodyFree: true,
})

describe("what Amazon's own validator takes is accepted, by either version of the signature", () => {
  test.each(['1', '2'])('%s', async (version) => {
    const message = messageOf(notification, version)
    assert.equal(await isValid(message), true)
    assert.deepEqual(await accepted(scheme, sentOf(message), context), {
      providerEventId: notification.MessageId,
      signedAt: now,
      eventType: 'Notification',
      isDrift: false,
    })
    const { Subject: _, ...bare } = notification
    assert.equal(await isValid(messageOf(bare, version)), true)
    await accepted(scheme, signed(bare, version), context)
    await accepted(scheme, signed(bare, version, { Subject: null }), context)
  })
})

test('a change in any field that is signed is refused, as the validator does', async () => {
  const message = messageOf(notification)
  for (const name of Object.keys(notification)) {
    const changed = { ...message, [name]: `${notification[name]} ` }
    assert.equal(await isValid(changed), false, name)
    assert.equal((await verdictOn(scheme, sentOf(changed), context)).kind, 'refused', name)
  }
  const { Subject: _, ...without }: Record<string, unknown> = message
  assert.equal(await isValid(without), false)
  assert.equal(await reasonOf(scheme, sentOf(without), context), 'signature')
  const other = signed(notification, '2', { SignatureVersion: '1' })
  assert.equal(await reasonOf(scheme, other, context), 'signature')
})

test('a new subscription is a handshake, confirmed at the address that the message gives', async () => {
  assert.equal(await isValid(messageOf(confirmation)), true)
  assert.deepEqual(await verdictOn(scheme, signed(confirmation), context), {
    kind: 'handshake',
    answer: { status: 200 },
    confirmUrl: confirmation.SubscribeURL,
  })
  const end = { ...confirmation, Type: 'UnsubscribeConfirmation' }
  const verdict = await accepted(scheme, signed(end), context)
  assert.equal(verdict.eventType, 'UnsubscribeConfirmation')
})

test('nothing is confirmed elsewhere than at SNS, though it is signed', async () => {
  for (const SubscribeURL of [
    'https://169.254.169.254/latest/meta-data',
    'http://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription',
    'https://sns.us-west-2.amazonaws.com.example/?Action=ConfirmSubscription',
    'https://sns.us-west-2.amazonaws.com:8443/',
  ]) {
    const sent = signed({ ...confirmation, SubscribeURL })
    assert.equal(await reasonOf(scheme, sent, context), 'malformed', SubscribeURL)
  }
})

test('a topic that is not ours is refused before anything is fetched', async () => {
  const { fetchKeys, asked } = publish({})
  const sent = signed({ ...notification, TopicArn: `${topic}2` })
  assert.equal(await reasonOf(scheme, sent, { ...context, fetchKeys }), 'key')
  assert.equal(await reasonOf(scheme, signed(), { settings: {}, fetchKeys }), 'key')
  assert.deepEqual(asked, [])
  const flaws = schemes[scheme].flaws({ secrets: [], settings: { topicArns: [] } })
  assert.deepEqual(
    flaws.map(({ pointer }) => pointer),
    ['/settings/topicArns'],
  )
})

describe('a certificate is fetched from SNS and nowhere else', () => {
  test.each([
    certificateUrl.replace('https', 'http'),
    certificateUrl.replace('.com', '.com.example'),
    certificateUrl.replace('sns.', 'sns.example.com/sns.'),
    certificateUrl.replace('sns.us-west-2', 'sns.s3-us-west-2'),
    certificateUrl.replace('sns.us-west-2', 'sns.s3'),
    certificateUrl.replace('sns.', 'evil-sns.'),
    certificateUrl.replace('https://', 'https://user@'),
    certificateUrl.replace('https://', 'https://:password@'),
    `${certificateUrl}?v=2`,
    `${certificateUrl}?`,
    `${certificateUrl}#2`,
    certificateUrl.replace('.com/', '.com:443/'),
    certificateUrl.replace('https', 'HTTPS'),
    certificateUrl.replace('.com/', '.com:444/'),
    certificateUrl.replace('Simple', 'other/Simple'),
    certificateUrl.replace('.pem', '.pem.txt'),
    'https://169.254.169.254/SimpleNotificationService-1.pem',
    'no url',
  ])('%s is refused without being asked', async (SigningCertURL) => {
    const { fetchKeys, asked } = publish({ [SigningCertURL]: pem })
    const sent = signed(notification, '2', { SigningCertURL })
    assert.equal(await reasonOf(scheme, sent, { ...context, fetchKeys }), 'key')
    assert.deepEqual(asked, [])
  })

  test.each(['sns.us-gov-west-1.amazonaws.com', 'sns.cn-north-1.amazonaws.com.cn'])(
    '%s is SNS as well',
    async (name) => {
      const SigningCertURL = certificateUrl.replace('sns.us-west-2.amazonaws.com', name)
      const { fetchKeys } = publish({ [SigningCertURL]: pem })
      const sent = signed(notification, '2', { SigningCertURL })
      await accepted(scheme, sent, { ...context, fetchKeys })
    },
  )

  test('one that is over, not yet good, or none is not believed', async () => {
    for (const [text, outcome] of [
      [certificate(-2 * year, -1000), 'key'],
      [certificate(1000, year), 'key'],
      ['<Error/>', 'unavailable'],
      [undefined, 'unavailable'],
    ] as const) {
      const { fetchKeys } = publish({ [certificateUrl]: text })
      assert.equal(await reasonOf(scheme, signed(), { ...context, fetchKeys }), outcome)
    }
  })
})

test('one signature fits one message: fields of several lines are refused', async () => {
  const { Subject, ...bare } = notification
  const merged = { ...bare, MessageId: `${bare.MessageId}\nSubject\n${Subject}` }
  assert.equal(messageOf(merged).Signature, messageOf(notification).Signature)
  assert.equal(await reasonOf(scheme, signed(merged), context), 'malformed')
})

describe('a time is believed for a day, and of the future for five minutes', () => {
  test.each([
    [-86_400, 'accepted'],
    [-86_401, 'timestamp'],
    [300, 'accepted'],
    [301, 'timestamp'],
  ])('%i s from now: %s', async (seconds, outcome) => {
    const Timestamp = new Date(now.getTime() + seconds * 1000).toISOString()
    assert.equal(await reasonOf(scheme, signed({ ...notification, Timestamp }), context), outcome)
  })

  test('what is no time is refused', async () => {
    const sent = signed({ ...notification, Timestamp: 'soon' })
    assert.equal(await reasonOf(scheme, sent, context), 'timestamp')
  })
})

test('a message with parts that are missing or of another kind is malformed', async () => {
  const message: Record<string, unknown> = messageOf(notification)
  const odd = { toString: 1, valueOf: 1 }
  for (const name of Object.keys(message)) {
    if (name === 'Subject' || name === 'UnsubscribeURL') continue
    for (const value of [undefined, null, 7, odd, []]) {
      const sent = sentOf({ ...message, [name]: value })
      assert.equal(await reasonOf(scheme, sent, context), 'malformed', name)
    }
  }
  for (const changes of [
    { Type: 'constructor' },
    { SignatureVersion: '3' },
    { SignatureVersion: 'constructor' },
    { Signature: '!' },
  ]) {
    assert.equal(await reasonOf(scheme, sentOf({ ...message, ...changes }), context), 'malformed')
  }
  for (const body of ['', 'no json', '[]', 'null']) {
    assert.equal(await reasonOf(scheme, { body, headers: {} }, context), 'malformed')
  }
})

test('what would take long to read is not read, since anybody may have sent it', async () => {
  const deep = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels))
  const long = (values: number) => Array.from({ length: values }, () => 0)
  for (const [more, reason] of [
    [deep(63), 'accepted'],
    [deep(64), 'malformed'],
    [long(9_900), 'accepted'],
    [long(10_001), 'malformed'],
  ] as const) {
    const sent = { body: JSON.stringify(messageOf(notification, '2', { more })), headers: {} }
    assert.equal(await reasonOf(scheme, sent, context), reason)
  }
})
