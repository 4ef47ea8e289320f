import '@shopify/shopify-api/adapters/node'
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { ApiVersion, LogSeverity, shopifyApi } from '@shopify/shopify-api'
import { test } from 'vitest'
import { accepted, reasonOf, refusesWhatWasChanged } from './fixture.ts'

const scheme = 'SHOPIFY'
const secret = 'hush-of-the-app'
const body = '{"id":820982911946154508,"email":"zoë@example.com"}'

const { webhooks } = shopifyApi({
  apiKey: 'key',
  apiSecretKey: secret,
  hostName: 'app.example',
  apiVersion: ApiVersion.July26,
  isEmbeddedApp: false,
  logger: { level: LogSeverity.Error },
})

function signed(text = body, by = secret) {
  return {
    body: text,
    headers: {
      'x-shopify-hmac-sha256': createHmac('sha256', by).update(text).digest('base64'),
      'x-shopify-topic': 'orders/create',
      'x-shopify-shop-domain': 'shop.myshopify.com',
      'x-shopify-api-version': '2026-10',
      'x-shopify-webhook-id': 'b54557e4-bdd9-4b37-8a5f-bf7d70bcd043',
    },
  }
}

/** What Shopify's own library says of the same request. */
async function isValid({ body: rawBody, headers }: ReturnType<typeof signed>): Promise<boolean> {
  const rawRequest = { method: 'POST', url: '/hooks', headers }
  return (await webhooks.validate({ rawBody, rawRequest, rawResponse: {} })).valid
}

refusesWhatWasChanged({
  name: scheme,
  sent: signed(),
  context: { secrets: [secret] },
  foreign: { secrets: ['hush-of-another'] },
  covered: ['x-shopify-hmac-sha256'],
})

test("what Shopify's own library takes is accepted, with its id and topic", async () => {
  assert.equal(await isValid(signed()), true)
  assert.deepEqual(await accepted(scheme, signed(), { secrets: ['other', secret] }), {
    providerEventId: 'b54557e4-bdd9-4b37-8a5f-bf7d70bcd043',
    signedAt: null,
    eventType: 'orders/create',
    isDrift: false,
  })
})

test('what it does not take is refused', async () => {
  for (const forged of [
    signed(body, 'hush-of-another'),
    { ...signed(), body: `${body}\n` },
    { ...signed(), body: body.replace('508', '500') },
  ]) {
    assert.equal(await isValid(forged), false)
    assert.equal(await reasonOf(scheme, forged, { secrets: [secret] }), 'signature')
  }
})

test('a signed payload that is no JSON object is drift', async () => {
  const verdict = await accepted(scheme, signed('<xml/>'), { secrets: [secret] })
  assert.equal(verdict.isDrift, true)
})
