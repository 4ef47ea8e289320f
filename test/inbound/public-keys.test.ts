import assert from 'node:assert/strict'
import { describe, onTestFinished, test, vi } from 'vitest'
import { createClock } from '#clock.ts'
import type { EgressPolicy } from '#egress/address.ts'
import { createEgress } from '#egress/send.ts'
import {
  createFetchKeys,
  type KeysLimits,
  keysAnewMs,
  keysFreshMs,
  keysKeptMs,
  keysRestMs,
} from '#inbound/public-keys.ts'
import { development, production } from '../egress/fixture.ts'
import { startReceiver } from '../receiver.ts'

const asIs = (text: string) => text

/** A server of keys, and a clock that is moved by hand. What lies at `/provider` is a provider's. */
async function publisher(policy: EgressPolicy = development, limits?: KeysLimits) {
  const receiver = await startReceiver()
  const egress = createEgress(policy)
  onTestFinished(async () => {
    await egress.close()
    await receiver.stop()
  })
  let nowMs = Date.parse('2026-11-22T12:00:00Z')
  const clock = createClock(() => new Date(nowMs))
  const ofProvider = new Set([`${receiver.url}/provider`])
  const fetchKeysFor = createFetchKeys({ egress, clock }, ofProvider, limits)
  receiver.answers(200, {}, 'first')
  return {
    receiver,
    fetchKeys: (wish?: { isAnew: boolean }, path = '', tenantId = 'ten_a') =>
      fetchKeysFor(tenantId)(receiver.url + path, asIs, wish),
    fetchKeysFor,
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}

describe('keys are kept', () => {
  test('what was fetched is good for ten minutes, then it is fetched again', async () => {
    const { receiver, fetchKeys, pass } = await publisher()
    assert.equal(await fetchKeys(), 'first')
    receiver.answers(200, {}, 'second')
    pass(keysFreshMs - 1)
    assert.equal(await fetchKeys(), 'first')
    assert.equal(receiver.requests.length, 1)
    pass(1)
    assert.equal(await fetchKeys(), 'second')
    assert.deepEqual(
      receiver.requests.map(({ method, body }) => [method, body.length]),
      [
        ['GET', 0],
        ['GET', 0],
      ],
    )
  })

  test('asked for anew they are fetched, but no more often than each half minute', async () => {
    const { receiver, fetchKeys, pass } = await publisher()
    await fetchKeys()
    receiver.answers(200, {}, 'second')
    pass(keysAnewMs - 1)
    assert.equal(await fetchKeys({ isAnew: true }), 'first')
    pass(1)
    assert.equal(await fetchKeys({ isAnew: true }), 'second')
    assert.equal(await fetchKeys({ isAnew: true }), 'second')
    assert.equal(receiver.requests.length, 2)
  })

  test('many who ask at once cause one request', async () => {
    const { receiver, fetchKeys } = await publisher()
    const all = await Promise.all(Array.from({ length: 50 }, () => fetchKeys()))
    assert.deepEqual(new Set(all), new Set(['first']))
    assert.equal(receiver.requests.length, 1)
  })

  test('while their server fails, the last ones are good for a day and it is left in peace', async () => {
    const { receiver, fetchKeys, pass } = await publisher()
    await fetchKeys()
    receiver.answers(503)
    pass(keysKeptMs - 1)
    assert.equal(await fetchKeys(), 'first')
    assert.equal(await fetchKeys(), 'first')
    assert.equal(receiver.requests.length, 2)
    await assert.rejects(fetchKeys({ isAnew: true }))
    pass(1)
    await assert.rejects(fetchKeys())
    assert.equal(receiver.requests.length, 2)
    pass(keysRestMs)
    receiver.answers(200, {}, 'second')
    assert.equal(await fetchKeys(), 'second')
  })
})

describe('keys that cannot be had are none', () => {
  test.each([404, 500, 301, 204])('an answer of %i', async (status) => {
    const { receiver, fetchKeys } = await publisher()
    receiver.answers(status, status === 301 ? { location: receiver.url } : {})
    await assert.rejects(fetchKeys())
    await assert.rejects(fetchKeys())
    assert.equal(receiver.requests.length, 1)
  })

  test('an answer that is longer than is read', async () => {
    const { receiver, fetchKeys } = await publisher()
    receiver.answers(200, {}, 'x'.repeat(256 * 1024 + 1))
    await assert.rejects(fetchKeys())
  })

  test('an answer that does not come, within the time that a sender waits for ours', async () => {
    const { receiver, fetchKeys } = await publisher()
    receiver.behaves('hang')
    const startedAt = performance.now()
    await assert.rejects(fetchKeys())
    assert.ok(performance.now() - startedAt >= 2_400)
  })

  test('an address within the house, in production', async () => {
    const { receiver, fetchKeys } = await publisher(production)
    await assert.rejects(fetchKeys())
    assert.equal(receiver.connections.made, 0)
  })
})

test('what is fetched is read once by each who reads it, until it is fetched again', async () => {
  const { receiver, fetchKeysFor, pass } = await publisher()
  const [read, other] = [vi.fn(asIs), vi.fn((text: string) => text.length)]
  for (const _ of [1, 2, 3]) {
    assert.equal(await fetchKeysFor('ten_a')(receiver.url, read), 'first')
    assert.equal(await fetchKeysFor('ten_a')(receiver.url, other), 5)
  }
  assert.deepEqual([read.mock.calls.length, other.mock.calls.length], [1, 1])
  pass(keysFreshMs)
  await fetchKeysFor('ten_a')(receiver.url, read)
  assert.equal(read.mock.calls.length, 2)
})

describe('strangers who name many addresses', () => {
  const outcomesOf = async (asked: Promise<string>[]) => {
    const outcomes = await Promise.allSettled(asked)
    return outcomes.map((one) => (one.status === 'rejected' ? String(one.reason) : 'had'))
  }
  const refusedOf = (reasons: string[]) => reasons.filter((one) => one.includes('Too many')).length

  test('have two asked at once for one tenant, and a few for all', async () => {
    const { receiver, fetchKeys } = await publisher()
    receiver.behaves('hang')
    const ask = (count: number, tenantId: string) =>
      Array.from({ length: count }, (_, at) => fetchKeys(undefined, `/${tenantId}${at}`, tenantId))
    const one = outcomesOf(ask(60, 'ten_a'))
    const others = outcomesOf(Array.from({ length: 20 }, (_, at) => ask(1, `ten_b${at}`)).flat())
    assert.equal(refusedOf(await one), 58)
    assert.equal(refusedOf(await others), 2)
    assert.ok(!(await one).includes('had'))
  })

  test('do not keep those from being had that providers publish', async () => {
    const limits = { shelfMax: 2, tenantAtOnceMax: 1, atOnceMax: 1, bytesMax: 3_000 }
    const { receiver, fetchKeys } = await publisher(development, limits)
    receiver.answersWith(({ path }) =>
      path.endsWith('/provider') ? { status: 200, body: 'first' } : 'hang',
    )
    const hanging = outcomesOf([fetchKeys(undefined, '/1'), fetchKeys(undefined, '/2', 'ten_b')])
    await receiver.received(1)
    assert.equal(await fetchKeys(undefined, '/provider', 'ten_c'), 'first')
    assert.equal(refusedOf(await hanging), 1)
    receiver.answers(200, {}, 'x'.repeat(1_000))
    for (const path of ['/3', '/4', '/5']) await fetchKeys(undefined, path)
    const asked = receiver.requests.length
    assert.equal(await fetchKeys(undefined, '/provider'), 'first')
    assert.equal(receiver.requests.length, asked)
  })

  test('push out what that tenant had, and nobody else’s', async () => {
    const limits = { shelfMax: 2, tenantAtOnceMax: 2, atOnceMax: 20, bytesMax: 1_000_000 }
    const { receiver, fetchKeys } = await publisher(development, limits)
    await fetchKeys(undefined, '/kept', 'ten_b')
    for (const path of ['/1', '/2', '/3']) await fetchKeys(undefined, path)
    await fetchKeys(undefined, '/kept', 'ten_b')
    await fetchKeys(undefined, '/3')
    assert.equal(receiver.requests.length, 4)
    await fetchKeys(undefined, '/1')
    assert.equal(receiver.requests.length, 5)
  })

  test('fill a bounded memory, in which whoever has most gives way', async () => {
    const limits = { shelfMax: 100, tenantAtOnceMax: 2, atOnceMax: 20, bytesMax: 13_000 }
    const { receiver, fetchKeys } = await publisher(development, limits)
    receiver.answers(200, {}, 'x'.repeat(1_000))
    await fetchKeys(undefined, '/kept', 'ten_b')
    for (const path of ['/1', '/2', '/3', '/4', '/5']) await fetchKeys(undefined, path)
    await fetchKeys(undefined, '/kept', 'ten_b')
    assert.equal(receiver.requests.length, 6)
    await fetchKeys(undefined, '/1')
    assert.equal(receiver.requests.length, 7)
  })
})
