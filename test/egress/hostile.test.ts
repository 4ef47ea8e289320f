import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { FailureReason } from '#egress/outcome.ts'
import type { Behaviour } from '../receiver.ts'
import { patiently, telltale, world } from './fixture.ts'

const failures: readonly [Behaviour, FailureReason, RegExp][] = [
  ['hang', 'timed_out', /^No answer came before the deadline\.$/],
  ['slow-headers', 'timed_out', /^No answer came/],
  ['slow-drip', 'timed_out', /^The answer did not end before the deadline\.$/],
  ['endless-headers', 'protocol_error', /far more bytes/],
  ['endless-early-hints', 'protocol_error', /far more bytes/],
  ['endless-chunk-extension', 'protocol_error', /far more bytes/],
  ['endless-trailers', 'protocol_error', /far more bytes/],
  ['huge-headers', 'protocol_error', /headers of the answer are too long/],
  ['reset', 'connection_failed', /reset \(ECONNRESET\)/],
  ['reset-mid-answer', 'connection_failed', /reset \(ECONNRESET\)/],
  ['close-without-answer', 'connection_failed', /closed before the answer ended/],
  ['close-mid-answer', 'connection_failed', /closed before the answer ended/],
  ['close-mid-chunk', 'protocol_error', /not valid HTTP/],
  ['garbage', 'protocol_error', /not valid HTTP/],
  ['continue', 'protocol_error', /not valid HTTP/],
  ['upgrade', 'protocol_error', /not valid HTTP/],
  ['two-lengths', 'protocol_error', /not valid HTTP/],
]

describe.each(failures)('a receiver that answers by «%s»', (behaviour, reason, detail) => {
  test(`is ${reason} in time, tells nothing of the request, and leaves no socket`, async () => {
    await using here = await world()
    here.receiver.behaves(behaviour)
    const deadlineMs = reason === 'timed_out' ? 250 : 20_000
    const outcome = await here.post({ deadlineMs, isRepeatable: true })

    assert.equal(outcome.kind, 'failed')
    assert.equal(outcome.reason, reason)
    assert.match(outcome.detail, detail)
    assert.ok(outcome.durationMs < 10_000)
    assert.equal(JSON.stringify(outcome).includes(telltale), false)
    assert.equal(here.receiver.requests.length, 1)
    await here.receiver.connectionsFallTo(0)

    here.receiver.answers(204)
    assert.equal((await here.post()).kind, 'answered')
  })
})

test('a body without end is read as far as we want and no further', async () => {
  await using here = await world()
  here.receiver.behaves('endless-body')
  const outcome = await here.post()
  assert.equal(outcome.kind, 'answered')
  assert.equal(outcome.status, 200)
  assert.equal(outcome.body.toString(), 'b'.repeat(1_000))
  assert.equal(outcome.isTruncated, true)
  await here.receiver.connectionsFallTo(0)
})

test('a second answer that nobody asked for is not the answer to the next request', async () => {
  await using here = await world()
  here.receiver.answersWith((_request, count) => (count === 1 ? 'two-answers' : { status: 202 }))
  const first = await here.post()
  assert.equal(first.kind === 'answered' && first.status, 204)
  const second = await here.post({ isRepeatable: true })
  assert.equal(second.kind === 'answered' && second.status, 202)
})

test('a refused connection is an outcome', async () => {
  const gone = await world()
  await gone.receiver.stop()
  const outcome = await gone.post()
  assert.equal(outcome.kind, 'failed')
  assert.equal(outcome.reason, 'connection_failed')
  assert.equal(outcome.detail, 'The connection was refused (ECONNREFUSED).')
  await gone.egress.close()
})

test(
  'a thousand hanging requests at once end at their deadline on few sockets, all closed',
  patiently,
  async () => {
    await using here = await world()
    here.receiver.behaves('hang')
    const sendings = Array.from({ length: 1_000 }, () => here.post({ deadlineMs: 300 }))
    for (const outcome of await Promise.all(sendings)) {
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'timed_out')
    }
    assert.ok(here.receiver.connections.made < 200)
    await here.receiver.connectionsFallTo(0)
    here.receiver.answers(204)
    assert.equal((await here.post()).kind, 'answered')
  },
)

test(
  'a thousand hanging connections, one after another, leave no socket behind',
  patiently,
  async () => {
    await using here = await world({ connections: 100 })
    here.receiver.behaves('hang')
    for (let wave = 0; wave < 10; wave++) {
      const sendings = Array.from({ length: 100 }, () => here.post({ deadlineMs: 200 }))
      for (const outcome of await Promise.all(sendings)) assert.equal(outcome.kind, 'failed')
    }
    await here.receiver.connectionsFallTo(0)
    assert.ok(here.receiver.connections.made > 300)
    await new Promise((closed) => setTimeout(closed, 20))
    assert.equal(
      process.getActiveResourcesInfo().filter((one) => one === 'TCPSocketWrap').length,
      0,
    )
  },
)

test('a thousand answers that are too long leave no socket behind', patiently, async () => {
  await using here = await world()
  here.receiver.answers(200, {}, 'x'.repeat(5_000))
  const sendings = Array.from({ length: 1_000 }, () => here.post())
  for (const outcome of await Promise.all(sendings)) {
    assert.equal(outcome.kind === 'answered' && outcome.isTruncated, true)
  }
  await here.receiver.connectionsFallTo(0)
})
