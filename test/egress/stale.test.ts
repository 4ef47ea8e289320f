import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { patiently, world } from './fixture.ts'

describe.each(['close-without-answer', 'reset'] as const)(
  'a used connection that ends by %s',
  (end) => {
    test('as we write costs a webhook no attempt: it is sent again on a fresh one', async () => {
      await using here = await world()
      here.receiver.answersWith((_request, count) => (count === 2 ? end : { status: 204 }))
      await here.post()
      const outcome = await here.post({ isRepeatable: true })
      assert.equal(outcome.kind === 'answered' && outcome.status, 204)
      assert.equal(here.receiver.requests.length, 3)
      assert.equal(here.receiver.connections.made, 2)
    })

    test('never makes two payments of one: what may not be repeated is not', async () => {
      await using here = await world()
      here.receiver.answersWith((_request, count) => (count === 2 ? end : { status: 204 }))
      await here.post()
      const outcome = await here.post()
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'connection_failed')
      assert.equal(here.receiver.requests.length, 2)
    })

    test('lets a GET be sent again by its nature, unless the caller says no', async () => {
      await using here = await world()
      const get = { method: 'GET', body: Buffer.alloc(0) } as const
      here.receiver.answersWith((_request, count) => (count % 2 === 0 ? end : { status: 204 }))
      await here.post(get)
      assert.equal((await here.post(get)).kind, 'answered')
      assert.equal((await here.post({ ...get, isRepeatable: false })).kind, 'failed')
    })

    test('is sent again once only, to a receiver that always hangs up', async () => {
      await using here = await world()
      here.receiver.answersWith((_request, count) => (count === 1 ? { status: 204 } : end))
      await here.post()
      const outcome = await here.post({ isRepeatable: true })
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'connection_failed')
      assert.equal(here.receiver.requests.length, 3)
    })

    test('is no excuse on a fresh connection', async () => {
      await using here = await world()
      here.receiver.behaves(end)
      const outcome = await here.post({ isRepeatable: true })
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'connection_failed')
      assert.equal(here.receiver.requests.length, 1)
    })
  },
)

test('an answer that breaks off is not asked for again on a used connection', async () => {
  await using here = await world()
  here.receiver.answersWith((_request, count) =>
    count === 1 ? { status: 204 } : 'close-mid-answer',
  )
  await here.post()
  const outcome = await here.post({ isRepeatable: true })
  assert.equal(outcome.kind === 'failed' && outcome.reason, 'connection_failed')
  assert.equal(here.receiver.requests.length, 2)
})

test(
  'a receiver that closes idle connections whenever it likes loses no webhook',
  patiently,
  async () => {
    await using here = await world({ connections: 4 })
    for (let round = 0; round < 100; round++) {
      const sendings = Array.from({ length: 4 }, () => here.post({ isRepeatable: true }))
      for (const outcome of await Promise.all(sendings)) assert.equal(outcome.kind, 'answered')
      here.receiver.hangsUp()
      if (round % 3 === 0) await here.receiver.connectionsFallTo(0)
      if (round % 3 === 1) await new Promise((next) => setImmediate(next))
    }
  },
)

test(
  'a receiver that closes after every answer without saying so loses no webhook',
  patiently,
  async () => {
    await using here = await world({ connections: 2 })
    here.receiver.behaves('close-after-answer')
    for (let round = 0; round < 100; round++) {
      const sendings = Array.from({ length: 4 }, () => here.post({ isRepeatable: true }))
      for (const outcome of await Promise.all(sendings)) assert.equal(outcome.kind, 'answered')
    }
  },
)

test('the deadline counts both copies together', async () => {
  await using here = await world()
  here.receiver.answersWith((_request, count) => {
    if (count === 1) return { status: 204 }
    return count === 2 ? 'close-without-answer' : 'hang'
  })
  await here.post()
  const outcome = await here.post({ isRepeatable: true, deadlineMs: 200 })
  assert.equal(outcome.kind === 'failed' && outcome.reason, 'timed_out')
  assert.ok(outcome.durationMs < 4_000)
  await here.receiver.connectionsFallTo(0)
})
