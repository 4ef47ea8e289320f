import assert from 'node:assert/strict'
import { describe, onTestFinished, test } from 'vitest'
import { createClock } from '#clock.ts'
import type { EgressPolicy } from '#egress/address.ts'
import { createEgress } from '#egress/send.ts'
import {
  createFetchText,
  keysAnewMs,
  keysFreshMs,
  keysKeptMs,
  keysRestMs,
} from '#inbound/public-keys.ts'
import { development, production } from '../egress/fixture.ts'
import { startReceiver } from '../receiver.ts'

/** A server of keys, and a clock that is moved by hand. */
async function publisher(policy: EgressPolicy = development) {
  const receiver = await startReceiver()
  const egress = createEgress(policy)
  onTestFinished(async () => {
    await egress.close()
    await receiver.stop()
  })
  let nowMs = Date.parse('2026-11-22T12:00:00Z')
  const fetchText = createFetchText({ egress, clock: createClock(() => new Date(nowMs)) })
  receiver.answers(200, {}, 'first')
  return {
    receiver,
    fetchText: (wish?: { isAnew: boolean }, path = '') => fetchText(receiver.url + path, wish),
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}

describe('keys are kept', () => {
  test('what was fetched is good for ten minutes, then it is fetched again', async () => {
    const { receiver, fetchText, pass } = await publisher()
    assert.equal(await fetchText(), 'first')
    receiver.answers(200, {}, 'second')
    pass(keysFreshMs - 1)
    assert.equal(await fetchText(), 'first')
    assert.equal(receiver.requests.length, 1)
    pass(1)
    assert.equal(await fetchText(), 'second')
    assert.deepEqual(
      receiver.requests.map(({ method, body }) => [method, body.length]),
      [
        ['GET', 0],
        ['GET', 0],
      ],
    )
  })

  test('asked for anew they are fetched, but no more often than each half minute', async () => {
    const { receiver, fetchText, pass } = await publisher()
    await fetchText()
    receiver.answers(200, {}, 'second')
    pass(keysAnewMs - 1)
    assert.equal(await fetchText({ isAnew: true }), 'first')
    pass(1)
    assert.equal(await fetchText({ isAnew: true }), 'second')
    assert.equal(await fetchText({ isAnew: true }), 'second')
    assert.equal(receiver.requests.length, 2)
  })

  test('many who ask at once cause one request', async () => {
    const { receiver, fetchText } = await publisher()
    const all = await Promise.all(Array.from({ length: 50 }, () => fetchText()))
    assert.deepEqual(new Set(all), new Set(['first']))
    assert.equal(receiver.requests.length, 1)
  })

  test('while their server fails, the last ones are good for a day and it is left in peace', async () => {
    const { receiver, fetchText, pass } = await publisher()
    await fetchText()
    receiver.answers(503)
    pass(keysKeptMs - 1)
    assert.equal(await fetchText(), 'first')
    assert.equal(await fetchText(), 'first')
    assert.equal(receiver.requests.length, 2)
    await assert.rejects(fetchText({ isAnew: true }))
    pass(1)
    await assert.rejects(fetchText())
    assert.equal(receiver.requests.length, 2)
    pass(keysRestMs)
    receiver.answers(200, {}, 'second')
    assert.equal(await fetchText(), 'second')
  })
})

describe('keys that cannot be had are none', () => {
  test.each([404, 500, 301, 204])('an answer of %i', async (status) => {
    const { receiver, fetchText } = await publisher()
    receiver.answers(status, status === 301 ? { location: receiver.url } : {})
    await assert.rejects(fetchText())
    await assert.rejects(fetchText())
    assert.equal(receiver.requests.length, 1)
  })

  test('an answer that is longer than is read', async () => {
    const { receiver, fetchText } = await publisher()
    receiver.answers(200, {}, 'x'.repeat(256 * 1024 + 1))
    await assert.rejects(fetchText())
  })

  test('an answer that does not come, within the time that a sender waits for ours', async () => {
    const { receiver, fetchText } = await publisher()
    receiver.behaves('hang')
    const startedAt = performance.now()
    await assert.rejects(fetchText())
    assert.ok(performance.now() - startedAt >= 2_400)
  })

  test('an address within the house, in production', async () => {
    const { receiver, fetchText } = await publisher(production)
    await assert.rejects(fetchText())
    assert.equal(receiver.connections.made, 0)
  })
})

test('strangers who name many addresses have a few asked at once', async () => {
  const { receiver, fetchText } = await publisher()
  receiver.behaves('hang')
  const asked = Array.from({ length: 60 }, (_, index) => fetchText(undefined, `?${index}`))
  const outcomes = await Promise.allSettled(asked)
  const reasons = outcomes.map((one) => (one.status === 'rejected' ? String(one.reason) : 'had'))
  assert.ok(!reasons.includes('had'))
  const notAsked = reasons.filter((reason) => reason.includes('Too many'))
  assert.equal(notAsked.length, 40)
})
