import assert from 'node:assert/strict'
import { createPrivateKey, randomBytes, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import {
  type VerifierOptions,
  verifyWebhook,
  type WebhookRefusal,
  WebhookRefused,
  type WebhookRequest,
  webhookVerifier,
} from 'ubos/receiver'
import { expect, test } from 'vitest'
import { newSigningSecret, signatureHeaders } from '#secrets/signature.ts'

const vector = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: '1614265330',
  body: '{"test": 2432232314}',
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  v1: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  v1a: 'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
}
/** The seed and then the public key, as the vector has it. */
const pair = Buffer.from(
  '6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
  'base64',
)
const publicKey = `whpk_${pair.subarray(32).toString('base64')}`
const publicJwk = { kty: 'OKP', crv: 'Ed25519', x: pair.subarray(32).toString('base64url') }
const then = () => Number(vector.timestamp) * 1_000

const headersWith = (signature: string, prefix = 'webhook') => ({
  [`${prefix}-id`]: vector.id,
  [`${prefix}-timestamp`]: vector.timestamp,
  [`${prefix}-signature`]: signature,
})

async function refusal(request: WebhookRequest, options: VerifierOptions): Promise<WebhookRefusal> {
  try {
    await verifyWebhook(request, options)
  } catch (error) {
    if (error instanceof WebhookRefused) return error.code
    throw error
  }
  throw new Error(`accepted ${JSON.stringify(request.headers)} ${request.body}`)
}

test.for([
  ['v1', vector.v1, vector.secret],
  ['v1a', vector.v1a, publicKey],
  ['v1a by a JWK', vector.v1a, publicJwk],
] as const)('the published vector of %s is genuine', async ([, signature, key]) => {
  const request = { headers: headersWith(signature), body: vector.body }
  assert.deepEqual(await verifyWebhook(request, { keys: [key], now: then }), {
    id: vector.id,
    sentAt: new Date(then()),
    isRepetition: false,
    event: { test: 2432232314 },
  })
})

const flip = (text: string, bit: number) => {
  const bytes = Buffer.from(text, 'latin1')
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return bytes.toString('latin1')
}

test.for([
  ['v1', vector.v1, vector.secret],
  ['v1a', vector.v1a, publicKey],
] as const)('%s: whichever single bit is flipped, it is refused', async ([, signature, key]) => {
  const verify = webhookVerifier({ keys: [key], now: then })
  const headers: Record<string, string> = headersWith(signature)
  let flips = 0
  for (const name of Object.keys(headers)) {
    for (let bit = 0; bit < (headers[name] ?? '').length * 8; bit += 1) {
      const changed = { ...headers, [name]: flip(headers[name] ?? '', bit) }
      await assert.rejects(verify({ headers: changed, body: vector.body }), WebhookRefused)
      flips += 1
    }
  }
  for (let bit = 0; bit < vector.body.length * 8; bit += 1) {
    const body = Buffer.from(flip(vector.body, bit), 'latin1')
    await assert.rejects(verify({ headers, body }), WebhookRefused)
    flips += 1
  }
  const expected = [vector.id, vector.timestamp, signature, vector.body].join('').length * 8
  assert.equal(flips, expected)
})

test('a body that was parsed and written again is refused, and one that is parsed is a mistake', async () => {
  const headers = headersWith(vector.v1)
  const options = { keys: [vector.secret], now: then }
  const body = JSON.stringify(JSON.parse(vector.body))
  assert.equal(await refusal({ headers, body }, options), 'wrong_signature')
  const parsed = JSON.parse(vector.body) as string
  await assert.rejects(verifyWebhook({ headers, body: parsed }, options), TypeError)
})

test('the body may come as text, as bytes or as a buffer', async () => {
  const bytes = new TextEncoder().encode(vector.body)
  const part = new Uint8Array([1, 2, ...bytes, 3]).subarray(2, 2 + bytes.length)
  for (const body of [vector.body, bytes, bytes.buffer, Buffer.from(bytes), part]) {
    const request = { headers: headersWith(vector.v1), body }
    assert.equal((await verifyWebhook(request, { keys: [vector.secret], now: then })).id, vector.id)
  }
})

test("headers may be the web's or Node's, in any case, named webhook- or svix-", async () => {
  const options = { keys: [vector.secret], now: then }
  const plain = headersWith(vector.v1)
  const shouted = Object.fromEntries(
    Object.entries(plain).map(([name, value]) => [name.toUpperCase(), value]),
  )
  const forms = [plain, shouted, new Headers(plain), headersWith(vector.v1, 'svix')]
  for (const headers of forms) {
    assert.equal((await verifyWebhook({ headers, body: vector.body }, options)).id, vector.id)
  }
  const mixed = { ...headersWith(vector.v1, 'svix'), 'webhook-signature': vector.v1 }
  assert.equal(await refusal({ headers: mixed, body: vector.body }, options), 'missing_header')
})

test('a header that is missing, empty, given twice or unreadable is told', async () => {
  const options = { keys: [vector.secret], now: then }
  const refused = (more: Record<string, string | string[] | undefined>) =>
    refusal({ headers: { ...headersWith(vector.v1), ...more }, body: vector.body }, options)
  for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
    assert.equal(await refused({ [name]: undefined }), 'missing_header')
    assert.equal(await refused({ [name]: '' }), 'missing_header')
    assert.equal(await refused({ [name]: ['a', 'a'] }), 'missing_header')
  }
  for (const timestamp of ['-1', '1e9', ' 1614265330', '1614265330.0', '0x60', '123456789012']) {
    assert.equal(await refused({ 'webhook-timestamp': timestamp }), 'malformed_header')
  }
  assert.equal(await refused({ 'webhook-id': 'a.b' }), 'malformed_header')
  const many = Array(65).fill(vector.v1).join(' ')
  assert.equal(await refused({ 'webhook-signature': many }), 'malformed_header')
})

test('several signatures and several keys: one pair that fits is enough, of whichever version', async () => {
  const [first, second, third] = [1, 2, 3].map(() => newSigningSecret(randomBytes)) as [
    string,
    string,
    string,
  ]
  const timestampSeconds = Math.floor(Date.now() / 1_000)
  const headers = signatureHeaders({
    ...{ id: 'evt_1', timestampSeconds, body: Buffer.from('{}') },
    secrets: [first, second],
  })
  const request = { headers, body: '{}' }
  for (const keys of [[first], [second], [third, second], [publicKey, third, first]]) {
    assert.equal((await verifyWebhook(request, { keys })).id, 'evt_1')
  }
  for (const keys of [[third], [publicKey], [publicJwk, third]]) {
    assert.equal(await refusal(request, { keys }), 'wrong_signature')
  }
  const odd = `v2,abc nonsense v1 v1, , ${headers['webhook-signature']}`
  const among = { headers: { ...headers, 'webhook-signature': odd }, body: '{}' }
  assert.equal((await verifyWebhook(among, { keys: [second] })).id, 'evt_1')
})

test('a signature of one version is not taken for one of the other', async () => {
  const options = { keys: [vector.secret, publicKey], now: then }
  for (const signature of [vector.v1.replace('v1,', 'v1a,'), vector.v1a.replace('v1a,', 'v1,')]) {
    const request = { headers: headersWith(signature), body: vector.body }
    assert.equal(await refusal(request, options), 'wrong_signature')
  }
})

test.for([
  [300, undefined, 'accepted'],
  [301, undefined, 'too_old'],
  [-300, undefined, 'accepted'],
  [-301, undefined, 'too_new'],
  [10, 10, 'accepted'],
  [11, 10, 'too_old'],
  [-11, 10, 'too_new'],
] as const)('sent %i seconds ago with a tolerance of %s: %s', async ([age, tolerance, verdict]) => {
  const request = { headers: headersWith(vector.v1), body: vector.body }
  const options = {
    keys: [vector.secret],
    now: () => then() + age * 1_000 + 999,
    ...(tolerance === undefined ? {} : { toleranceSeconds: tolerance }),
  }
  if (verdict === 'accepted') await verifyWebhook(request, options)
  else assert.equal(await refusal(request, options), verdict)
})

test('a repetition is told by the store that the receiver gives, which hears of genuine ones alone', async () => {
  const asked: string[] = []
  const remember = async (id: string) => {
    const isNew = !asked.includes(id)
    asked.push(id)
    return isNew
  }
  const verify = webhookVerifier({ keys: [vector.secret], now: then, remember })
  const request = { headers: headersWith(vector.v1), body: vector.body }
  await assert.rejects(verify({ ...request, body: '{}' }), WebhookRefused)
  assert.deepEqual(asked, [])
  assert.equal((await verify(request)).isRepetition, false)
  assert.equal((await verify(request)).isRepetition, true)
  assert.equal(asked.length, 2)
})

test('what is genuine and no JSON in UTF-8 is refused after its signature', async () => {
  const secret = newSigningSecret(randomBytes)
  const timestampSeconds = Math.floor(Date.now() / 1_000)
  for (const body of [Buffer.from('{'), Buffer.of(0x22, 0xff, 0x22), Buffer.alloc(0)]) {
    const headers = signatureHeaders({ id: 'e', timestampSeconds, body, secrets: [secret] })
    assert.equal(await refusal({ headers, body }, { keys: [secret] }), 'malformed_body')
  }
})

test('what is no key is refused when the verifier is made', () => {
  const bad = [
    [],
    [''],
    ['whsec_'],
    ['whsec_AAAA'],
    ['whsec_###'],
    ['whpk_AAAA'],
    [`whpk_${vector.secret.slice(6)}`],
    [{ kty: 'EC', crv: 'P-256', x: publicJwk.x }],
    [{ kty: 'OKP', crv: 'Ed25519' }],
  ]
  for (const keys of bad) assert.throws(() => webhookVerifier({ keys }), TypeError)
})

test("what other people's libraries sign is genuine", async () => {
  const secret = newSigningSecret(randomBytes)
  const body = '{"type":"client.created"}'
  const now = new Date()
  for (const library of [new StandardWebhook(secret), new SvixWebhook(secret)]) {
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': library.sign('msg_1', now, body),
    }
    const verified = await verifyWebhook({ headers, body }, { keys: [secret] })
    assert.deepEqual(verified.event, JSON.parse(body))
  }
})

test('what node:crypto signs by Ed25519 is genuine', async () => {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
  const key = createPrivateKey({
    ...{ key: Buffer.concat([prefix, pair.subarray(0, 32)]), format: 'der', type: 'pkcs8' },
  })
  const body = '{"a":"ü"}'
  const signature = sign(null, Buffer.from(`m.${vector.timestamp}.${body}`), key)
  const headers = {
    ...headersWith(`v1a,${signature.toString('base64')}`),
    'webhook-id': 'm',
  }
  const verified = await verifyWebhook({ headers, body }, { keys: [publicJwk], now: then })
  assert.deepEqual(verified.event, { a: 'ü' })
})

test('the kit is below 10 kB, imports nothing, and asks for nothing that only Node has', () => {
  const text = readFileSync('packages/receiver/dist/receiver.js', 'utf8')
  expect(Buffer.byteLength(text)).toBeLessThan(10_000)
  expect(text).not.toMatch(/\bimport\b|\brequire\b|\bprocess\b|\bBuffer\b|node:/)
})
