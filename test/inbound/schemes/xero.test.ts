import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'vitest'
import { schemes } from '#inbound/schemes.ts'
import { accepted, reasonOf, refusesWhatWasChanged, verdictOn } from './fixture.ts'

const scheme = 'XERO'
const key =
  'LR+QgKlbRciIPYpi65tTKLaZ3FzLLofCNEQWrRXqWXJeDFrfexzfVI9SmnVuCWDJ4jnjHB9ECtOyxZSofRxwWw=='
const context = { secrets: [key] }
const event = (eventCategory: string, eventType = 'UPDATE') => ({
  resourceUrl: 'https://api.xero.com/api.xro/2.0/Invoices/1',
  resourceId: '1',
  tenantId: 't',
  tenantType: 'ORGANISATION',
  eventCategory,
  eventType,
  eventDateUtc: '2026-11-22T12:00:00.000',
})
const bodyOf = (events: unknown) =>
  JSON.stringify({ events, firstEventSequence: 1, lastEventSequence: 2, entropy: 'S0m3r4Nd0m' })

function signed(text: string, by = key) {
  const mac = createHmac('sha256', by).update(text).digest('base64')
  return { body: text, headers: { 'x-xero-signature': mac } }
}

refusesWhatWasChanged({
  name: scheme,
  sent: signed(bodyOf([event('INVOICE')])),
  context,
  foreign: { secrets: [key.replace('L', 'M')] },
  covered: ['x-xero-signature'],
})

const intent =
  '{"events":[],"firstEventSequence": 0,"lastEventSequence": 0, "entropy": "LUWDSUDGSWNZVALZXBEV"}'

test('intent to receive: the published vector is answered with 200 and an empty body', async () => {
  const headers = { 'x-xero-signature': 'BjzNbYUfrzg4g8wxm+dKHaZVrKxr2m75E296fUbD1E4=' }
  assert.deepEqual(await verdictOn(scheme, { body: intent, headers }, context), {
    kind: 'handshake',
    answer: { status: 200, body: '' },
  })
})

test('intent to receive: one that is signed wrongly is answered with 401 and an empty body', async () => {
  const headers = { 'x-xero-signature': '/jzNbYUfrzg4g8wxm+dKHaZVrKxr2m75E296fUbD1E4=' }
  assert.equal(await reasonOf(scheme, { body: intent, headers }, context), 'signature')
  assert.equal(await reasonOf(scheme, { body: intent, headers: {} }, context), 'missing')
  assert.deepEqual(schemes[scheme].answers.refused, { status: 401, body: '' })
  assert.deepEqual(schemes[scheme].answers.accepted, { status: 200, body: '' })
  assert.deepEqual(schemes[scheme].answers.duplicate, { status: 200, body: '' })
})

test('the key is taken as text, not decoded', async () => {
  const mac = createHmac('sha256', Buffer.from(key, 'base64')).update(intent).digest('base64')
  const sent = { body: intent, headers: { 'x-xero-signature': mac } }
  assert.equal(await reasonOf(scheme, sent, context), 'signature')
})

test('events have the type that all of them share, and none when they differ', async () => {
  const typeOf = async (...events: unknown[]) =>
    (await accepted(scheme, signed(bodyOf(events)), context)).eventType
  assert.equal(await typeOf(event('INVOICE'), event('INVOICE')), 'INVOICE.UPDATE')
  assert.equal(await typeOf(event('INVOICE'), event('CONTACT')), null)
})

test('events that are not as promised are drift', async () => {
  for (const text of ['no json', '[]', '{}', bodyOf({}), bodyOf([event('INVOICE'), { a: 1 }])]) {
    assert.equal((await accepted(scheme, signed(text), context)).isDrift, true, text)
  }
  const good = signed(bodyOf([event('INVOICE')]))
  assert.equal((await accepted(scheme, good, context)).isDrift, false)
})

test('equal bytes are the same webhook: sequence numbers begin anew, and are no ids', async () => {
  const verdict = await accepted(scheme, signed(bodyOf([event('INVOICE')])), context)
  assert.deepEqual([verdict.providerEventId, verdict.isBodyUnique], [null, true])
})
