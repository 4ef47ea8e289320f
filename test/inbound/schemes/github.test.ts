import assert from 'node:assert/strict'
import { sign, verify } from '@octokit/webhooks-methods'
import fc from 'fast-check'
import { test } from 'vitest'
import { accepted, reasonOf, refusesWhatWasChanged } from './fixture.ts'

const scheme = 'GITHUB'
const secret = "It's a Secret to Everybody"
const body = '{"action":"opened","sender":{"login":"Zoë"}}'
const of = (signature: string) => ({ 'X-Hub-Signature-256': signature })

refusesWhatWasChanged({
  name: scheme,
  sent: { body, headers: of(await sign(secret, body)) },
  context: { secrets: [secret] },
  foreign: { secrets: ["It's a Secret to nobody"] },
  covered: ['X-Hub-Signature-256'],
})

test('the published vector is accepted', async () => {
  const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
  const sent = { body: 'Hello, World!', headers: of(signature) }
  assert.equal((await accepted(scheme, sent, { secrets: [secret] })).isDrift, true)
})

test("what GitHub's own library signs is accepted, whatever the payload, and it agrees", async () => {
  await fc.assert(
    fc.asyncProperty(fc.json(), fc.string({ minLength: 1 }), async (text, own) => {
      const signature = await sign(own, text)
      assert.ok(await verify(own, text, signature))
      await accepted(scheme, { body: text, headers: of(signature) }, { secrets: ['other', own] })
    }),
  )
})

test('the delivery and its event are named by headers, in JSON as in a form', async () => {
  const form = new URLSearchParams({ payload: body }).toString()
  for (const [text, type] of [
    [body, 'application/json'],
    [form, 'application/x-www-form-urlencoded'],
  ] as const) {
    const headers = {
      ...of(await sign(secret, text)),
      'X-GitHub-Event': 'pull_request',
      'X-GitHub-Delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
      'Content-Type': type,
    }
    assert.deepEqual(await accepted(scheme, { body: text, headers }, { secrets: [secret] }), {
      providerEventId: '72d3162e-cc78-11e3-81ab-4c9367dc0958',
      signedAt: null,
      eventType: 'pull_request',
      isDrift: false,
    })
  }
})

test('the older SHA-1 signature alone is not enough', async () => {
  const signature = (await sign(secret, body)).replace('sha256=', 'sha1=')
  const headers = { 'X-Hub-Signature': signature }
  assert.equal(await reasonOf(scheme, { body, headers }, { secrets: [secret] }), 'missing')
  const sent = { body, headers: of(signature) }
  assert.equal(await reasonOf(scheme, sent, { secrets: [secret] }), 'malformed')
})

test('a form without the payload, or with none that is JSON, is drift', async () => {
  for (const text of ['a=1', 'payload=no', 'payload=[]']) {
    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    const headers = { ...of(await sign(secret, text)), ...type }
    const verdict = await accepted(scheme, { body: text, headers }, { secrets: [secret] })
    assert.equal(verdict.isDrift, true, text)
  }
})
