import assert from 'node:assert/strict'
import Stripe from 'stripe'
import { describe, test } from 'vitest'
import { accepted, now, nowSeconds, reasonOf, refusesWhatWasChanged } from './fixture.ts'

const scheme = 'STRIPE'
const secret = 'whsec_J8fk2pVw0aQbXnEr5tYu'
const other = 'whsec_aaaaaaaaaaaaaaaaaaaa'
const body = '{"id": "evt_1", "object": "event", "type": "invoice.paid", "data": {"name": "Zoë"}}'
const { webhooks } = new Stripe('sk_test_none')

function signed(by = secret, timestamp = nowSeconds, payload = body) {
  const header = webhooks.generateTestHeaderString({ payload, secret: by, timestamp })
  return { body: payload, headers: { 'stripe-signature': header } }
}

refusesWhatWasChanged({
  name: scheme,
  sent: signed(),
  context: { secrets: [secret] },
  foreign: { secrets: [other] },
  covered: ['stripe-signature'],
})

test("what Stripe's own library signs and takes is accepted, with its id, time and type", async () => {
  const sent = signed()
  const header = sent.headers['stripe-signature']
  webhooks.constructEvent(body, header, secret, 300, undefined, now.getTime())
  assert.deepEqual(await accepted(scheme, sent, { secrets: [other, secret] }), {
    providerEventId: 'evt_1',
    signedAt: now,
    eventType: 'invoice.paid',
    isDrift: false,
  })
})

test('a thin event says its id and type where others do', async () => {
  const thin = '{"id":"evt_test_2","object":"v2.core.event","type":"v1.billing.meter.error_report"}'
  const verdict = await accepted(scheme, signed(secret, nowSeconds, thin), { secrets: [secret] })
  assert.equal(verdict.providerEventId, 'evt_test_2')
  assert.equal(verdict.eventType, 'v1.billing.meter.error_report')
})

test('while secrets change, one good signature among several is enough', async () => {
  const [, good] = signed().headers['stripe-signature'].split(',')
  const [time, foreign] = signed(other).headers['stripe-signature'].split(',')
  const header = [time, foreign, good, 'v0=abc'].join(',')
  await accepted(scheme, { body, headers: { 'stripe-signature': header } }, { secrets: [secret] })
})

describe('a time is believed within five minutes, the future too, which Stripe leaves open', () => {
  test.each([
    [-300, 'accepted'],
    [-301, 'timestamp'],
    [300, 'accepted'],
    [301, 'timestamp'],
  ])('%i s from now: %s', async (seconds, outcome) => {
    const sent = signed(secret, nowSeconds + seconds)
    assert.equal(await reasonOf(scheme, sent, { secrets: [secret] }), outcome)
  })
})

test('a header that leaves open what is meant is refused', async () => {
  const good = signed().headers['stripe-signature']
  const [time = '', signature = ''] = good.split(',')
  for (const header of [
    `t=1,${good}`,
    `${good},${time}`,
    signature,
    time,
    `${time},v0=${signature.slice(3)}`,
    `t=${nowSeconds}.0,${signature}`,
    '',
  ]) {
    const sent = { body, headers: { 'stripe-signature': header } }
    assert.equal(await reasonOf(scheme, sent, { secrets: [secret] }), 'malformed', header)
  }
  assert.equal(await reasonOf(scheme, { body, headers: {} }, { secrets: [secret] }), 'missing')
})

test('a signed payload without id or type is drift', async () => {
  for (const payload of ['{"id":"evt_1"}', '{"type":"invoice.paid"}', 'no json', '[]']) {
    const sent = signed(secret, nowSeconds, payload)
    assert.equal((await accepted(scheme, sent, { secrets: [secret] })).isDrift, true, payload)
  }
})
