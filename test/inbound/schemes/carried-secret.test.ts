import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { schemes } from '#inbound/schemes.ts'
import { accepted, reasonOf, refusesWhatWasChanged } from './fixture.ts'

const body = '{"id": "e1", "kind": "Delivery"}'
const event = { eventIdPointer: '/id', eventTypePointer: '/kind' }

describe('a shared secret in a header', () => {
  const secret = 'correct horse battery staple'

  refusesWhatWasChanged({
    name: 'SHARED_SECRET',
    sent: { body, headers: { 'X-Webhook-Secret': secret } },
    context: { secrets: [secret] },
    foreign: { secrets: ['correct horse battery'] },
    covered: ['X-Webhook-Secret'],
    isBodyFree: true,
  })

  test('header and prefix are as the settings say, and either of two secrets is enough', async () => {
    const settings = { ...event, header: 'X-Gitlab-Token', prefix: 'Token ' }
    const context = { secrets: ['new', secret], settings }
    const sent = { body, headers: { 'X-Gitlab-Token': `Token ${secret}` } }
    assert.deepEqual(await accepted('SHARED_SECRET', sent, context), {
      providerEventId: 'e1',
      signedAt: null,
      eventType: 'Delivery',
      isDrift: false,
    })
    for (const value of ['', 'Token ']) {
      const nothing = { body, headers: { 'X-Gitlab-Token': value } }
      const empty = { secrets: [''], settings: { header: 'X-Gitlab-Token' } }
      const prefixed = { ...empty, settings }
      assert.notEqual(await reasonOf('SHARED_SECRET', nothing, empty), 'accepted')
      assert.notEqual(await reasonOf('SHARED_SECRET', nothing, prefixed), 'accepted')
    }
    const bare = { body, headers: { 'X-Gitlab-Token': secret } }
    assert.equal(await reasonOf('SHARED_SECRET', bare, context), 'malformed')
  })
})

describe('basic authentication', () => {
  const secret = 'postmark:pass:wörd'
  const of = (pair: string) => ({ Authorization: `Basic ${Buffer.from(pair).toString('base64')}` })

  refusesWhatWasChanged({
    name: 'BASIC',
    sent: { body, headers: of(secret) },
    context: { secrets: [secret] },
    foreign: { secrets: ['postmark:pass'] },
    covered: ['Authorization'],
    isBodyFree: true,
  })

  test('name and password are accepted, whatever the case of the scheme', async () => {
    const { Authorization } = of(secret)
    for (const header of [Authorization, Authorization.replace('Basic', 'basic')]) {
      const sent = { body, headers: { authorization: header } }
      const verdict = await accepted('BASIC', sent, { secrets: ['a:b', secret], settings: event })
      assert.equal(verdict.providerEventId, 'e1')
    }
  })

  test('a pair without a password is a flaw and accepts nothing', async () => {
    for (const bad of ['postmark', 'postmark:', ':', '']) {
      assert.equal(
        await reasonOf('BASIC', { body, headers: of(bad) }, { secrets: [bad] }),
        bad === '' ? 'malformed' : 'signature',
        bad,
      )
      const flaws = schemes.BASIC.flaws({ secrets: [bad], settings: {} })
      assert.deepEqual(
        flaws.map(({ pointer }) => pointer),
        ['/secrets/0'],
        bad,
      )
    }
  })

  test('a refusal tells how to authenticate', () => {
    const { headers } = schemes.BASIC.answers.refused
    assert.equal(headers?.['www-authenticate'], 'Basic realm="webhooks"')
  })
})
