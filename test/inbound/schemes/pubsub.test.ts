import assert from 'node:assert/strict'
import { test } from 'vitest'
import { schemes } from '#inbound/schemes.ts'
import { accepted, now, nowSeconds, reasonOf, refusesWhatWasChanged } from './fixture.ts'
import { createIssuer, publish } from './issuer.ts'

const scheme = 'PUBSUB'
const jwksUrl = 'https://www.googleapis.com/oauth2/v3/certs'
const settings = {
  audience: 'https://ubos.example/hooks/src_1',
  serviceAccountEmail: 'push@project.iam.gserviceaccount.com',
}
const claims = {
  iss: 'https://accounts.google.com',
  aud: settings.audience,
  email: settings.serviceAccountEmail,
  email_verified: true,
  sub: '113774264463038321964',
}
const subscription = 'projects/project/subscriptions/gmail'
const data = Buffer.from('{"emailAddress":"zoë@example.com","historyId":"9876543210"}')
const push = {
  message: {
    data: data.toString('base64'),
    messageId: '2070443601311540',
    publishTime: '2026-11-22T12:00:00Z',
    attributes: { eventType: 'OBJECT_FINALIZE' },
  },
  subscription,
}

const google = await createIssuer('g1')
const served = publish({ [jwksUrl]: { keys: [google.jwk] } })
const context = { settings, fetchText: served.fetchText }
const sentWith = async (changes: object = {}, payload: unknown = push, headers: object = {}) => ({
  body: JSON.stringify(payload),
  headers: { authorization: `Bearer ${await google.token({ ...claims, ...changes })}`, ...headers },
})

refusesWhatWasChanged({
  name: scheme,
  sent: await sentWith(),
  context,
  foreign: publish({ [jwksUrl]: { keys: [(await createIssuer('g1')).jwk] } }),
  covered: ['authorization'],
  isBodyFree: true,
})

test("a push with Google's token is accepted, by Google's keys alone", async () => {
  const { fetchText, asked } = publish(served.published)
  assert.deepEqual(await accepted(scheme, await sentWith(), { settings, fetchText }), {
    providerEventId: '2070443601311540',
    signedAt: now,
    eventType: 'OBJECT_FINALIZE',
    isDrift: false,
  })
  assert.deepEqual(asked, [jwksUrl])
})

test('a token that Google signed for somebody else is refused', async () => {
  for (const [changes, reason] of [
    [{ email: 'other@project.iam.gserviceaccount.com' }, 'key'],
    [{ email_verified: false }, 'key'],
    [{ email: undefined }, 'key'],
    [{ aud: 'https://other.example' }, 'key'],
    [{ iss: 'https://accounts.google.com.example' }, 'key'],
    [{ exp: nowSeconds - 61 }, 'timestamp'],
  ] as const) {
    assert.equal(await reasonOf(scheme, await sentWith(changes), context), reason)
  }
  await accepted(scheme, await sentWith({ iss: 'accounts.google.com' }), context)
})

test('another subscription is refused when the settings name one', async () => {
  const own = { ...context, settings: { ...settings, subscription } }
  await accepted(scheme, await sentWith(), own)
  const other = await sentWith({}, { ...push, subscription: `${subscription}2` })
  assert.equal(await reasonOf(scheme, other, own), 'key')
})

test('a message without its wrapping has its id in a header', async () => {
  const sent = await sentWith({}, { historyId: '1' }, { 'x-goog-pubsub-message-id': '77' })
  assert.equal((await accepted(scheme, sent, context)).providerEventId, '77')
})

test('a push without a message is drift', async () => {
  for (const payload of [{}, [], { message: {} }]) {
    assert.equal((await accepted(scheme, await sentWith({}, payload), context)).isDrift, true)
  }
})

test('without account or audience nothing is accepted, and each is told as a flaw', async () => {
  for (const name of ['audience', 'serviceAccountEmail'] as const) {
    const { [name]: _, ...rest } = settings
    assert.equal(await reasonOf(scheme, await sentWith(), { ...context, settings: rest }), 'key')
    const flaws = schemes[scheme].flaws({ secrets: [], settings: rest })
    assert.deepEqual(
      flaws.map(({ pointer }) => pointer),
      [`/settings/${name}`],
    )
  }
})
