import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import { test } from 'vitest'
import { newSigningSecret, signatureHeaders } from '#secrets/signature.ts'
import { seededBytes } from './fixture.ts'

const now = () => Math.floor(Date.now() / 1000)
const body = Buffer.from('{"type":"client.created","data":{"name":"Zoë"}}')

test('the published vector of Standard Webhooks comes out', () => {
  const headers = signatureHeaders({
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestampSeconds: 1614265330,
    body: Buffer.from('{"test": 2432232314}'),
    secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
  })
  assert.deepEqual(headers, {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    'x-ubos-signature': '80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c',
  })
})

test("receivers verify with other people's libraries, whatever the payload", () => {
  const payload = fc.json().filter((text) => text.trim() !== '')
  const luck = fc.uint8Array({ minLength: 32, maxLength: 32 })
  fc.assert(
    fc.property(payload, luck, (text, bytes) => {
      const secret = newSigningSecret(() => Buffer.from(bytes))
      const signable = { id: 'evt_1', timestampSeconds: now(), body: Buffer.from(text) }
      const headers = signatureHeaders({ ...signable, secrets: [secret] })
      assert.deepEqual(new StandardWebhook(secret).verify(text, headers), JSON.parse(text))
      assert.doesNotThrow(() => new SvixWebhook(secret).verify(text, headers))
    }),
  )
})

test('while secrets change, a receiver with either one accepts the event', () => {
  const secrets = [newSigningSecret(randomBytes), newSigningSecret(randomBytes)]
  const headers = signatureHeaders({ id: 'evt_1', timestampSeconds: now(), body, secrets })
  for (const secret of secrets) {
    assert.doesNotThrow(() => new StandardWebhook(secret).verify(body, headers))
    assert.doesNotThrow(() => new SvixWebhook(secret).verify(body, headers))
  }
  const third = newSigningSecret(randomBytes)
  assert.throws(() => new StandardWebhook(third).verify(body, headers))
  assert.throws(() => new SvixWebhook(third).verify(body, headers))
})

test('a body, id or time that was changed on the way is not accepted', () => {
  const secret = newSigningSecret(randomBytes)
  const headers = signatureHeaders({ id: 'e', timestampSeconds: now(), body, secrets: [secret] })
  const verifier = new StandardWebhook(secret)
  const earlier = String(Number(headers['webhook-timestamp']) - 1)
  assert.throws(() => verifier.verify(`${body} `, headers))
  assert.throws(() => verifier.verify(body, { ...headers, 'webhook-id': 'f' }))
  assert.throws(() => verifier.verify(body, { ...headers, 'webhook-timestamp': earlier }))
})

test('X-UBOS-Signature is what the integration guide has receivers compute', () => {
  const [first, second] = [newSigningSecret(randomBytes), newSigningSecret(randomBytes)]
  const headers = signatureHeaders({
    ...{ id: 'e', timestampSeconds: 1, body },
    secrets: [first, second],
  })
  const computed = createHmac('sha256', first).update(body).digest('hex')
  assert.equal(headers['x-ubos-signature'], computed)
})

test('the bytes are signed as they are, be they text or not', () => {
  const bytes = Buffer.of(0xff, 0x00, 0xfe, 0x0a)
  const secret = newSigningSecret(seededBytes('bytes'))
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const signed = Buffer.concat([Buffer.from('e.7.'), bytes])
  const expected = createHmac('sha256', key).update(signed).digest('base64')
  const headers = signatureHeaders({
    ...{ id: 'e', timestampSeconds: 7, body: bytes },
    secrets: [secret],
  })
  assert.equal(headers['webhook-signature'], `v1,${expected}`)
})

test('a signing secret is 32 random bytes, and nothing is sent unsigned', () => {
  assert.match(newSigningSecret(randomBytes), /^whsec_[A-Za-z0-9+/]{43}=$/)
  assert.throws(
    () => signatureHeaders({ id: 'e', timestampSeconds: 1, body, secrets: [] }),
    TypeError,
  )
})
