import assert from 'node:assert/strict'
import {
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  sign,
} from 'node:crypto'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { describe, test } from 'vitest'
import { schemes } from '#inbound/schemes.ts'
import { accepted, now, nowSeconds, reasonOf, refusesWhatWasChanged } from './fixture.ts'
import { createIssuer, publish } from './issuer.ts'

const scheme = 'JWT'
const jwksUrl = 'https://issuer.example/jwks'
const settings = { jwksUrl, issuer: 'https://issuer.example', audience: 'https://ubos.example' }
const claims = { iss: settings.issuer, aud: settings.audience, sub: 'sender' }
const body = '{"id": "e1"}'

const issuer = await createIssuer('one')
const stranger = await createIssuer('one')
const { fetchKeys } = publish({ [jwksUrl]: { keys: [issuer.jwk] } })
const context = { settings, fetchKeys }
const bearing = (token: string) => ({ body, headers: { authorization: `Bearer ${token}` } })

refusesWhatWasChanged({
  name: scheme,
  sent: bearing(await issuer.token(claims)),
  context,
  foreign: publish({ [jwksUrl]: { keys: [stranger.jwk] } }),
  covered: ['authorization'],
  isBodyFree: true,
})

describe('every asymmetric algorithm is verified as others do', () => {
  const names = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA']
  test.each(names)('%s', async (alg) => {
    const [one, other] = [await createIssuer('k', alg), await createIssuer('k', alg)]
    const keys = { keys: [one.jwk] }
    const serve = publish({ [jwksUrl]: keys })
    const token = await one.token(claims)
    const options = { issuer: claims.iss, audience: claims.aud, currentDate: now }
    await jwtVerify(token, createLocalJWKSet(keys as JSONWebKeySet), options)
    const verdict = await accepted(scheme, bearing(token), { settings, ...serve })
    assert.equal(verdict.signedAt, null)
    const forged = bearing(await other.token(claims))
    assert.equal(await reasonOf(scheme, forged, { settings, ...serve }), 'signature')
  })
})

describe('what is no token of ours is refused', () => {
  const pem = createPublicKey({ key: issuer.jwk as JsonWebKey, format: 'jwk' })
    .export({ format: 'pem', type: 'spki' })
    .toString()
  const write = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const payload = write({ ...claims, iat: nowSeconds, exp: nowSeconds + 60 })
  const unsigned = `${write({ alg: 'none', kid: 'one' })}.${payload}`
  const lead = `${write({ alg: 'HS256', kid: 'one' })}.${payload}`
  const mac = createHmac('sha256', pem).update(lead).digest('base64url')
  const cases: [what: string, token: () => Promise<string> | string, reason: string][] = [
    ['without signature', () => `${unsigned}.`, 'malformed'],
    ['with alg none and something', () => `${unsigned}.AAAA`, 'malformed'],
    ['signed with the public key as a secret', () => `${lead}.${mac}`, 'malformed'],
    [
      'with an alg that objects have',
      () => `${write({ alg: 'constructor' })}.${payload}.AAAA`,
      'malformed',
    ],
    [
      'with an alg that is no text',
      () => `${write({ alg: { toString: 1 } })}.${payload}.AAAA`,
      'malformed',
    ],
    ['with four parts', async () => `${await issuer.token(claims)}.AAAA`, 'malformed'],
    ['another issuer', () => issuer.token({ ...claims, iss: 'https://other.example' }), 'key'],
    ['no issuer', () => issuer.token({ aud: claims.aud }), 'key'],
    ['another audience', () => issuer.token({ ...claims, aud: 'https://other.example' }), 'key'],
    ['no audience', () => issuer.token({ iss: claims.iss }), 'key'],
    ['over', () => issuer.token({ ...claims, exp: nowSeconds - 60 }), 'timestamp'],
    ['of the future', () => issuer.token({ ...claims, iat: nowSeconds + 61 }), 'timestamp'],
    ['not good yet', () => issuer.token({ ...claims, nbf: nowSeconds + 61 }), 'timestamp'],
    ['without an end', () => issuer.token({ ...claims, exp: undefined }), 'malformed'],
    ['of a key that is not published', () => issuer.token(claims, { kid: 'two' }), 'key'],
    [
      'that asks for an extension',
      () =>
        issuer.token(claims).then((token) => {
          const [, rest = '', signature = ''] = token.split('.')
          return `${write({ alg: 'RS256', kid: 'one', crit: ['b64'], b64: true })}.${rest}.${signature}`
        }),
      'malformed',
    ],
  ]
  test.each(cases)('%s', async (_, token, reason) => {
    assert.equal(await reasonOf(scheme, bearing(await token()), context), reason)
  })

  test('and neither is a header of another kind', async () => {
    const token = await issuer.token(claims)
    for (const authorization of [token, `Basic ${token}`, 'Bearer', `Bearer ${token} ${token}`]) {
      const sent = { body, headers: { authorization } }
      assert.equal(await reasonOf(scheme, sent, context), 'malformed', authorization)
    }
  })
})

test('within a minute clocks may differ, and an audience may be one of several', async () => {
  for (const changes of [
    { exp: nowSeconds - 59 },
    { iat: nowSeconds + 60 },
    { nbf: nowSeconds + 60 },
    { aud: ['other', settings.audience] },
  ]) {
    await accepted(scheme, bearing(await issuer.token({ ...claims, ...changes })), context)
  }
})

describe('keys', () => {
  test('a new key is found, because an unknown one has them asked for anew', async () => {
    const next = await createIssuer('two')
    const served = publish({ [jwksUrl]: { keys: [issuer.jwk] } })
    const anew: typeof served.fetchKeys = async (url, read, wish) => {
      if (wish?.isAnew) served.published[jwksUrl] = { keys: [issuer.jwk, next.jwk] }
      return served.fetchKeys(url, read, wish)
    }
    await accepted(scheme, bearing(await next.token(claims)), { settings, fetchKeys: anew })
    assert.deepEqual(served.asked, [jwksUrl, `${jwksUrl} anew`])
  })

  test('while they cannot be had, or are none, nothing is said of the request', async () => {
    const sent = bearing(await issuer.token(claims))
    for (const published of [{}, { [jwksUrl]: 'a page' }, { [jwksUrl]: { keys: 7 } }]) {
      assert.equal(await reasonOf(scheme, sent, { settings, ...publish(published) }), 'unavailable')
    }
  })

  test('a key of RSA that is too short verifies nothing', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const [, payload = ''] = (await issuer.token(claims)).split('.')
    const header = Buffer.from('{"alg":"RS256","kid":"weak"}').toString('base64url')
    const signature = sign('sha256', Buffer.from(`${header}.${payload}`), privateKey)
    const sent = bearing(`${header}.${payload}.${signature.toString('base64url')}`)
    const weak = { ...publicKey.export({ format: 'jwk' }), kid: 'weak' }
    const served = publish({ [jwksUrl]: { keys: [weak] } })
    assert.equal(await reasonOf(scheme, sent, { settings, ...served }), 'key')
  })

  test('what is said is judged first: for what is not ours nothing is fetched', async () => {
    const served = publish({ [jwksUrl]: { keys: [issuer.jwk] } })
    for (const changes of [
      { iss: 'https://other.example' },
      { aud: 'x' },
      { exp: nowSeconds - 60 },
    ]) {
      const sent = bearing(await issuer.token({ ...claims, ...changes }))
      assert.notEqual(await reasonOf(scheme, sent, { settings, ...served }), 'accepted')
    }
    assert.deepEqual(served.asked, [])
  })

  test('a key of RSA by which verifying would take long verifies nothing', async () => {
    const sent = bearing(await issuer.token(claims))
    const long = { ...issuer.jwk, n: Buffer.alloc(513, 0x9d).toString('base64url') }
    const slow = { ...issuer.jwk, e: Buffer.from('0100000001', 'hex').toString('base64url') }
    for (const key of [long, slow]) {
      const served = publish({ [jwksUrl]: { keys: [key] } })
      assert.equal(await reasonOf(scheme, sent, { settings, ...served }), 'key')
    }
    const widest = { ...issuer.jwk, n: Buffer.alloc(512, 0x9d).toString('base64url') }
    const served = publish({ [jwksUrl]: { keys: [widest] } })
    assert.equal(await reasonOf(scheme, sent, { settings, ...served }), 'signature')
  })

  test('of a set twenty keys are looked at, and of those that fit a token four', async () => {
    const others = (count: number) =>
      Array.from({ length: count }, (_, at) => ({ ...stranger.jwk, kid: `other ${at}` }))
    const reasonUnder = async (keys: object[], header?: { kid?: string | undefined }) => {
      const sent = bearing(await issuer.token(claims, header as { kid?: string }))
      return await reasonOf(scheme, sent, { settings, ...publish({ [jwksUrl]: { keys } }) })
    }
    const unfit = Array.from({ length: 20 }, () => ({ ...stranger.jwk, use: 'enc' }))
    assert.equal(await reasonUnder([...unfit, ...others(19), issuer.jwk]), 'accepted')
    assert.equal(await reasonUnder([...others(20), issuer.jwk]), 'key')
    const unnamed = { kid: undefined }
    assert.equal(await reasonUnder([...others(3), issuer.jwk], unnamed), 'accepted')
    assert.equal(await reasonUnder([...others(4), issuer.jwk], unnamed), 'signature')
  })

  test('a set is read by one function for all, so that it is read once', async () => {
    const { fetchKeys } = publish({ [jwksUrl]: { keys: [issuer.jwk] } })
    const readers = new Set<unknown>()
    const noting: typeof fetchKeys = (url, read, wish) => {
      readers.add(read)
      return fetchKeys(url, read, wish)
    }
    for (const _ of [1, 2]) {
      const sent = bearing(await issuer.token(claims))
      await accepted(scheme, sent, { settings, fetchKeys: noting })
    }
    assert.equal(readers.size, 1)
  })

  test('a key for another use or algorithm, or none that can be read, verifies nothing', async () => {
    const { n: _, ...broken } = issuer.jwk
    const sent = bearing(await issuer.token(claims))
    for (const key of [
      { ...issuer.jwk, use: 'enc' },
      { ...issuer.jwk, alg: 'PS256' },
      { ...(await createIssuer('one', 'ES256')).jwk, alg: undefined },
      broken,
      null,
    ]) {
      const served = publish({ [jwksUrl]: { keys: [key] } })
      assert.equal(await reasonOf(scheme, sent, { settings, ...served }), 'key')
    }
  })
})

test('a digest in the token holds the body, when the settings name its claim', async () => {
  const own = { ...settings, bodyDigestClaim: 'request_body_sha256' }
  for (const encoding of ['hex', 'base64', 'base64url'] as const) {
    const digest = createHash('sha256').update(body).digest(encoding)
    const sent = bearing(await issuer.token({ ...claims, request_body_sha256: digest }))
    const { signedAt } = await accepted(scheme, sent, { ...context, settings: own })
    assert.deepEqual(signedAt, now)
    const changed = { ...sent, body: `${body} ` }
    assert.equal(await reasonOf(scheme, changed, { ...context, settings: own }), 'signature')
  }
  const bare = bearing(await issuer.token(claims))
  assert.equal(await reasonOf(scheme, bare, { ...context, settings: own }), 'signature')
})

test('subject and header are as the settings say', async () => {
  const token = await issuer.token(claims)
  const own = { ...settings, header: 'X-Acme-Token', subject: 'sender' }
  for (const value of [token, `Bearer ${token}`]) {
    await accepted(
      scheme,
      { body, headers: { 'x-acme-token': value } },
      { ...context, settings: own },
    )
  }
  const other = { ...context, settings: { ...settings, subject: 'another' } }
  assert.equal(await reasonOf(scheme, bearing(token), other), 'key')
})

test('without issuer, audience or keys nothing is accepted, and each is told as a flaw', async () => {
  const sent = bearing(await issuer.token(claims))
  for (const name of ['jwksUrl', 'issuer', 'audience'] as const) {
    const { [name]: _, ...rest } = settings
    assert.equal(await reasonOf(scheme, sent, { ...context, settings: rest }), 'key')
    const flaws = schemes[scheme].flaws({ secrets: [], settings: rest })
    assert.deepEqual(
      flaws.map(({ pointer }) => pointer),
      [`/settings/${name}`],
    )
  }
  assert.deepEqual(schemes[scheme].flaws({ secrets: [], settings }), [])
})
