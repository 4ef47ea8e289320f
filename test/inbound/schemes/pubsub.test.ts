import assert from 'node:assert/strict'
import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { OAuth2Client } from 'google-auth-library'
import { describe, test } from 'vitest'
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
const context = { settings, fetchKeys: served.fetchKeys }
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
  const { fetchKeys, asked } = publish(served.published)
  assert.deepEqual(await accepted(scheme, await sentWith(), { settings, fetchKeys }), {
    providerEventId: '2070443601311540',
    signedAt: now,
    eventType: 'OBJECT_FINALIZE',
    isDrift: false,
  })
  assert.deepEqual(asked, [jwksUrl])
})

describe("Google's own library and we agree", () => {
  const realNow = Math.floor(Date.now() / 1_000)
  const inForce = { iat: realNow, exp: realNow + 3_600 }

  /** Verifies by the same keys, where it would fetch Google's. */
  class OwnKeys extends OAuth2Client {
    override async getFederatedSignonCertsAsync() {
      const key = createPublicKey({ key: google.jwk as JsonWebKey, format: 'jwk' })
      const pem = String(key.export({ format: 'pem', type: 'spki' }))
      return { certs: { g1: pem }, format: 'PEM' } as Awaited<
        ReturnType<OAuth2Client['getFederatedSignonCertsAsync']>
      >
    }
  }

  async function isTaken(token: string) {
    const theirs = await new OwnKeys()
      .verifyIdToken({ idToken: token, audience: settings.audience })
      .then(() => true)
      .catch(() => false)
    const sent = { body: JSON.stringify(push), headers: { authorization: `Bearer ${token}` } }
    const reason = await reasonOf(scheme, sent, { ...context, now: new Date(realNow * 1_000) })
    return { theirs, ours: reason === 'accepted' }
  }
  const both = (isSo: boolean) => ({ theirs: isSo, ours: isSo })

  test('that a token is good', async () => {
    assert.deepEqual(await isTaken(await google.token({ ...claims, ...inForce })), both(true))
    const older = await google.token({ ...claims, ...inForce, iss: 'accounts.google.com' })
    assert.deepEqual(await isTaken(older), both(true))
  })

  test.each([
    ['is for another audience', { aud: 'https://other.example' }],
    ['is of another issuer', { iss: 'https://issuer.example' }],
    ['has expired', { exp: realNow - 3_600, iat: realNow - 7_200 }],
    ['is of the future', { iat: realNow + 3_600, exp: realNow + 7_200 }],
  ])('that one is not which %s', async (_, changes) => {
    assert.deepEqual(
      await isTaken(await google.token({ ...claims, ...inForce, ...changes })),
      both(false),
    )
  })

  test('that one is not which was signed by somebody else, or names another key', async () => {
    const stranger = await createIssuer('g1')
    assert.deepEqual(await isTaken(await stranger.token({ ...claims, ...inForce })), both(false))
    const other = await google.token({ ...claims, ...inForce }, { kid: 'g2' })
    assert.deepEqual(await isTaken(other), both(false))
  })

  test('that one is not which was changed after it was signed, wherever', async () => {
    const token = await google.token({ ...claims, ...inForce })
    for (let at = 0; at < token.length - 1; at += 7) {
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
      assert.deepEqual(await isTaken(changed), both(false), `at ${at}`)
    }
  })
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
