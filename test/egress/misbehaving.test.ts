import assert from 'node:assert/strict'
import { describe, onTestFinished, test } from 'vitest'
import { createEgress } from '#egress/send.ts'
import { development, requestTo, telltale } from './fixture.ts'
import { misbehaviours, startMisbehaving, trusted } from './misbehaviours.ts'

const connectMs = 700
const deadlineMs = 900

describe.each(misbehaviours.map((one) => [one.name, one] as const))('%s', (_, one) => {
  test('has a name, in time, and holds neither memory nor a connection', async () => {
    const { url, isAlone } = await startMisbehaving(one)
    const egress = createEgress(development, {
      ca: trusted.join(''),
      resolve: async () => ['127.0.0.1'],
    })
    onTestFinished(() => egress.close())
    const before = process.memoryUsage()
    const body = Buffer.alloc(256 * 1024, 'x')
    const request = requestTo(url, { body, connectMs, deadlineMs, responseBytesMax: 16 * 1024 })
    const outcome = await egress.send(request)
    const after = process.memoryUsage()

    const grown = after.arrayBuffers - before.arrayBuffers
    assert.ok(grown < 4 * 1024 * 1024, `${grown} bytes`)
    assert.ok(outcome.durationMs < deadlineMs + 2_000, `${outcome.durationMs} ms`)
    if (typeof one.comesTo === 'number') {
      assert.equal(outcome.kind === 'answered' ? outcome.status : outcome.detail, one.comesTo)
      assert.ok(outcome.kind === 'answered' && outcome.body.length <= 16 * 1024)
    } else {
      assert.equal(outcome.kind, 'failed')
      const [reason, detail] = one.comesTo
      assert.equal(outcome.reason, reason)
      assert.match(outcome.detail, detail)
      assert.equal(JSON.stringify(outcome).includes(telltale), false)
    }
    await egress.close()
    await isAlone()
  })
})
