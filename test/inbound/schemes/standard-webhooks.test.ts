import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import fc from 'fast-check'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import { describe, test } from 'vitest'
import { schemes } from '#inbound/schemes.ts'
import { signatureHeaders } from '#secrets/signature.ts'
import {
  accepted,
  contextOf,
  now,
  nowSeconds,
  reasonOf,
  refusesWhatWasChanged,
  requestOf,
} from './fixture.ts'

const scheme = 'STANDARD_WEBHOOKS'
const secret = `whsec_${randomBytes(32).toString('base64')}`
const other = `whsec_${randomBytes(32).toString('base64')}`
const body = '{"type":"client.created","data":{"name":"Zoë"}}'

function signed(by = secret, at = now, text = body) {
  const signature = new StandardWebhook(by).sign('msg_1', at, text)
  const timestamp = String(Math.floor(at.getTime() / 1000))
  return {
    body: text,
    headers: {
      'webhook-id': 'msg_1',
      'webhook-timestamp': timestamp,
      'webhook-signature': signature,
    },
  }
}

refusesWhatWasChanged({
  name: scheme,
  sent: signed(),
  context: { secrets: [secret] },
  foreign: { secrets: [other] },
  covered: ['webhook-id', 'webhook-timestamp', 'webhook-signature'],
})

const vector = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  time: new Date(1_614_265_330_000),
  body: '{"test": 2432232314}',
}

describe('the published vectors are accepted', () => {
  const headers = {
    'webhook-id': vector.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  }

  test.each(['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'])(
    'v1 with %s',
    async (published) => {
      const context = { secrets: [published], now: vector.time }
      const verdict = await accepted(scheme, { body: vector.body, headers }, context)
      assert.deepEqual(verdict, {
        providerEventId: vector.id,
        signedAt: vector.time,
        eventType: null,
        isDrift: false,
      })
    },
  )

  test('v1a, whose key is public', async () => {
    const pair = Buffer.from(
      '6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
      'base64',
    )
    const secrets = [`whpk_${pair.subarray(32).toString('base64')}`]
    const signature =
      'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=='
    const sent = { body: vector.body, headers: { ...headers, 'webhook-signature': signature } }
    await accepted(scheme, sent, { secrets, now: vector.time })
    const changed = { ...sent, body: '{"test": 2432232315}' }
    assert.equal(await reasonOf(scheme, changed, { secrets, now: vector.time }), 'signature')
  })
})

test("what Svix's and the standard's own libraries sign is accepted, whatever the payload", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.json(),
      fc.uint8Array({ minLength: 24, maxLength: 64 }),
      async (text, key) => {
        const one = `whsec_${Buffer.from(key).toString('base64')}`
        await accepted(scheme, signed(one, now, text), { secrets: [one] })
        const headers = {
          'svix-id': 'msg_2',
          'svix-timestamp': String(nowSeconds),
          'svix-signature': new SvixWebhook(one).sign('msg_2', now, text),
        }
        const verdict = await accepted(scheme, { body: text, headers }, { secrets: [one] })
        assert.equal(verdict.providerEventId, 'msg_2')
      },
    ),
  )
})

test('what we send ourselves is accepted', async () => {
  const signable = { id: 'evt_1', timestampSeconds: nowSeconds, body: Buffer.from(body) }
  const headers = signatureHeaders({ ...signable, secrets: [secret, other] })
  const verdict = await accepted(scheme, { body, headers }, { secrets: [other] })
  assert.deepEqual(verdict, {
    providerEventId: 'evt_1',
    signedAt: now,
    eventType: 'client.created',
    isDrift: false,
  })
})

test('while secrets change, either one is enough, on both sides', async () => {
  for (const secrets of [
    [secret, other],
    [other, secret],
  ]) {
    await accepted(scheme, signed(), { secrets })
  }
  const both = signed()
  const foreign = new StandardWebhook(other).sign('msg_1', now, body)
  both.headers['webhook-signature'] = `v1a,AAAA ${foreign} ${both.headers['webhook-signature']}`
  await accepted(scheme, both, { secrets: [secret] })
})

test('headers of both prefixes are not mixed', async () => {
  const { 'webhook-id': id, ...rest } = signed().headers
  const sent = { body, headers: { ...rest, 'svix-id': id ?? '' } }
  assert.equal(await reasonOf(scheme, sent, { secrets: [secret] }), 'missing')
})

describe('a time is believed within five minutes, or what the settings say, both ways', () => {
  test.each([
    [-300, undefined, 'accepted'],
    [-301, undefined, 'timestamp'],
    [300, undefined, 'accepted'],
    [301, undefined, 'timestamp'],
    [-61, 60, 'timestamp'],
    [61, 60, 'timestamp'],
    [-3_600, 3_600, 'accepted'],
    [3_600, 3_600, 'timestamp'],
  ])('%i s from now with a tolerance of %s: %s', async (seconds, toleranceSeconds, outcome) => {
    const at = new Date(now.getTime() + seconds * 1000)
    const settings = toleranceSeconds === undefined ? {} : { toleranceSeconds }
    const context = { secrets: [secret], settings }
    assert.equal(await reasonOf(scheme, signed(secret, at), context), outcome)
  })
})

test.each(['', ' ', '1e9', '0x60000000', '-1', '1614265330.0', '99999999999999999999', 'NaN'])(
  'a time written as %j is refused, though it is signed',
  async (timestamp) => {
    const lead = `msg_1.${timestamp}.`
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
    const mac = createHmac('sha256', key)
      .update(lead + body)
      .digest('base64')
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${mac}`,
    }
    assert.notEqual(await reasonOf(scheme, { body, headers }, { secrets: [secret] }), 'accepted')
  },
)

test('a secret that is no base64 is no empty key, and is told as a flaw', async () => {
  const mac = createHmac('sha256', '').update(`msg_1.${nowSeconds}.${body}`).digest('base64')
  const sent = signed()
  sent.headers['webhook-signature'] = `v1,${mac}`
  for (const bad of ['whsec_', '', 'whsec_====', 'whpk_', 'whpk_AAAA', 'ä']) {
    assert.equal(await reasonOf(scheme, sent, { secrets: [bad] }), 'signature', bad)
    const flaws = schemes[scheme].flaws({ secrets: [secret, bad], settings: {} })
    assert.deepEqual(
      flaws.map(({ pointer }) => pointer),
      ['/secrets/1'],
      bad,
    )
  }
  assert.deepEqual(schemes[scheme].flaws({ secrets: [secret], settings: {} }), [])
  const none = schemes[scheme].flaws({ secrets: [], settings: {} })
  assert.deepEqual(
    none.map(({ pointer }) => pointer),
    ['/secrets'],
  )
})

test('a public key accepts what its own private key signed, and no HMAC made with it', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(12)
  const secrets = [`whpk_${raw.toString('base64')}`]
  const lead = `msg_1.${nowSeconds}.`
  const made = sign(null, Buffer.from(lead + body), privateKey).toString('base64')
  const headers = { ...signed().headers, 'webhook-signature': `v1a,${made}` }
  await accepted(scheme, { body, headers }, { secrets })
  const forged = signed(raw.toString('base64'))
  assert.equal(await reasonOf(scheme, forged, { secrets }), 'signature')
})

test('a payload that is no JSON object is accepted as drift', async () => {
  for (const text of ['not json', '[]', '"text"', '{"a":1}{']) {
    const verdict = await accepted(scheme, signed(secret, now, text), { secrets: [secret] })
    assert.equal(verdict.isDrift, true, text)
  }
})

test('an id that no row takes is no id', async () => {
  const request = requestOf(signed())
  for (const id of ['x'.repeat(256), 'a\u0000b', '\ud800']) {
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
    const mac = createHmac('sha256', key).update(`${id}.${nowSeconds}.${body}`).digest('base64')
    const headers = { ...request.headers, 'webhook-id': id, 'webhook-signature': `v1,${mac}` }
    const verdict = await schemes[scheme].verify(
      { ...request, headers },
      contextOf({ secrets: [secret] }),
    )
    assert.ok(verdict.kind === 'accepted')
    assert.equal(verdict.providerEventId, null)
  }
})

test('a secret is no public key, though it is as long as one', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(12)
  const made = sign(null, Buffer.from(`msg_1.${nowSeconds}.${body}`), privateKey)
  const headers = { ...signed().headers, 'webhook-signature': `v1a,${made.toString('base64')}` }
  for (const prefix of ['', 'whsec_']) {
    const secrets = [prefix + raw.toString('base64')]
    assert.equal(await reasonOf(scheme, { body, headers }, { secrets }), 'signature')
  }
})

test('bytes that are no text are drift, though they are signed', async () => {
  const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')])
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const mac = createHmac('sha256', key).update(`msg_1.${nowSeconds}.`).update(bytes)
  const headers = { ...signed().headers, 'webhook-signature': `v1,${mac.digest('base64')}` }
  const verdict = await accepted(scheme, { body: bytes, headers }, { secrets: [secret] })
  assert.equal(verdict.isDrift, true)
})
