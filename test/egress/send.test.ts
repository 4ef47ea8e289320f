import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { test } from 'vitest'
import { newSigningSecret, signatureHeaders } from '#secrets/signature.ts'
import { patiently, world } from './fixture.ts'

test('the receiver gets our bytes and headers, and we get its answer', async () => {
  await using here = await world()
  here.receiver.answers(201, { 'X-Request-Id': 'abc', 'content-type': 'text/plain' }, 'thanks')
  const outcome = await here.post()

  assert.equal(outcome.kind, 'answered')
  assert.equal(outcome.status, 201)
  assert.equal(outcome.headers['x-request-id'], 'abc')
  assert.equal(outcome.body.toString(), 'thanks')
  assert.equal(outcome.isTruncated, false)
  assert.equal(outcome.address, '127.0.0.1')
  assert.ok(outcome.durationMs > 0 && outcome.durationMs < 20_000)

  const [request] = here.receiver.requests
  assert.equal(request?.method, 'POST')
  assert.equal(request?.path, '/hook?token=telltale-secret')
  assert.equal(request?.body.toString(), '{"type":"client.created"}')
  assert.equal(request?.headers['content-length'], '25')
  assert.equal(request?.headers.host, `127.0.0.1:${here.receiver.port}`)
})

test('a signed webhook is accepted by the libraries that receivers use', async () => {
  await using here = await world()
  const secret = newSigningSecret(randomBytes)
  const body = Buffer.from('{"type":"client.created","data":{"name":"Zoë"}}')
  const timestampSeconds = Math.floor(Date.now() / 1000)
  const headers = signatureHeaders({ id: 'evt_1', timestampSeconds, body, secrets: [secret] })
  for (let count = 0; count < 3; count++) await here.post({ headers, body })
  assert.equal(here.receiver.verified(secret).length, 3)
  assert.throws(() => here.receiver.verified(newSigningSecret(randomBytes)))
})

test.each([200, 204, 301, 307, 404, 410, 429, 500, 503])(
  'a %i is an answer, and nobody follows it elsewhere',
  async (status) => {
    await using here = await world()
    here.receiver.answers(status, { location: `http://127.0.0.1:${here.receiver.port}/elsewhere` })
    const outcome = await here.post()
    assert.equal(outcome.kind, 'answered')
    assert.equal(outcome.status, status)
    assert.equal(here.receiver.requests.length, 1)
  },
)

test('a repeated header is joined, and no header name is special', async () => {
  await using here = await world()
  here.receiver.behaves('odd-headers')
  const outcome = await here.post()
  assert.equal(outcome.kind, 'answered')
  assert.equal(outcome.headers['set-cookie'], 'a=1, b=2')
  const names = Object.keys(outcome.headers)
  assert.deepEqual(names, ['set-cookie', '__proto__', 'constructor', 'content-length'])
  assert.equal(Object.getPrototypeOf(outcome.headers), null)
})

test('an answer as long as allowed is whole and keeps its connection', async () => {
  await using here = await world()
  here.receiver.answers(200, {}, 'x'.repeat(1_000))
  for (let count = 0; count < 3; count++) {
    const outcome = await here.post()
    assert.equal(outcome.kind, 'answered')
    assert.equal(outcome.body.length, 1_000)
    assert.equal(outcome.isTruncated, false)
  }
  assert.equal(here.receiver.connections.made, 1)
})

test('an answer one byte longer is cut there, and its connection is given up', async () => {
  await using here = await world()
  here.receiver.answers(200, {}, `${'x'.repeat(1_000)}y`)
  const outcome = await here.post()
  assert.equal(outcome.kind, 'answered')
  assert.equal(outcome.status, 200)
  assert.equal(outcome.body.toString(), 'x'.repeat(1_000))
  assert.equal(outcome.isTruncated, true)
  await here.receiver.connectionsFallTo(0)
})

test('who wants no body gets none, and still the status', async () => {
  await using here = await world()
  here.receiver.answers(200, {}, 'something')
  const outcome = await here.post({ responseBytesMax: 0 })
  assert.equal(outcome.kind, 'answered')
  assert.equal(outcome.body.length, 0)
  assert.equal(outcome.isTruncated, true)
})

test('a compressed answer stays as it came: a bomb does not go off here', async () => {
  await using here = await world()
  const bomb = gzipSync(Buffer.alloc(500_000))
  here.receiver.answers(200, { 'content-encoding': 'gzip' }, bomb)
  const outcome = await here.post()
  assert.equal(outcome.kind, 'answered')
  assert.deepEqual(outcome.body, bomb)
})

test('GET and an empty body are sent as such', async () => {
  await using here = await world()
  await here.post({ method: 'GET', body: Buffer.alloc(0) })
  await here.post({ body: Buffer.alloc(0) })
  const [get, post] = here.receiver.requests
  assert.equal(get?.method, 'GET')
  assert.equal(get?.headers['content-length'], undefined)
  assert.equal(post?.headers['content-length'], '0')
})

test('nobody can send to one host in the name of another', async () => {
  await using here = await world()
  await here.post({ headers: { host: 'bank.example' } })
  const outcome = await here.post({ headers: { Host: 'bank.example' } })
  assert.equal(outcome.kind, 'failed')
  assert.deepEqual(
    here.receiver.requests.map((request) => request.headers.host),
    [`127.0.0.1:${here.receiver.port}`],
  )
})

test('a header that would break the request is an outcome, and nothing is sent', async () => {
  await using here = await world()
  for (const headers of [{ 'x-a': 'b\r\nx-evil: 1' }, { 'x a': 'b' }, { 'x-a': '\u0000' }]) {
    const outcome = await here.post({ headers })
    assert.equal(outcome.kind, 'failed')
    assert.equal(outcome.reason, 'protocol_error')
    assert.match(outcome.detail, /cannot be written/)
  }
  assert.equal(here.receiver.requests.length, 0)
  assert.equal((await here.post()).kind, 'answered')
})

test('a burst to one origin shares a bounded number of connections, in order', async () => {
  await using here = await world({ connections: 4 })
  const bursts = Array.from({ length: 100 }, (_, count) =>
    here.post({ body: Buffer.from(`${count}`) }),
  )
  const outcomes = await Promise.all(bursts)
  assert.ok(outcomes.every((outcome) => outcome.kind === 'answered'))
  assert.equal(here.receiver.requests.length, 100)
  assert.ok(here.receiver.connections.made <= 4)
})

test('an idle connection is closed after a while', async () => {
  await using here = await world({ idleMs: 50 })
  await here.post()
  assert.equal(here.receiver.connections.open, 1)
  await here.receiver.connectionsFallTo(0)
  assert.equal((await here.post()).kind, 'answered')
})

test('a lane that hangs does not slow another lane to the same origin', async () => {
  await using here = await world({ connections: 2 })
  here.receiver.answersWith((request) =>
    request.headers['x-hang'] === 'yes' ? 'hang' : { status: 204 },
  )
  const stuck = Array.from({ length: 10 }, () =>
    here.post({ lane: 'whe_1', headers: { 'x-hang': 'yes' }, deadlineMs: 1_000 }),
  )
  const first = await Promise.race([here.post({ lane: 'whe_2' }), ...stuck])
  assert.equal(first.kind, 'answered')

  for (const outcome of await Promise.all(stuck)) {
    assert.equal(outcome.kind === 'failed' && outcome.reason, 'timed_out')
  }
  assert.ok(here.receiver.requests.length < 10)
})

test('a request that left the queue is not sent later', async () => {
  await using here = await world({ connections: 1 })
  here.receiver.answersWith((_request, count) => (count === 1 ? 'hang' : { status: 204 }))
  const first = here.post({ deadlineMs: 500 })
  const gone = here.post({ deadlineMs: 100, headers: { 'x-name': 'gone' } })
  const patient = here.post({ headers: { 'x-name': 'patient' } })
  assert.deepEqual(
    (await Promise.all([first, gone, patient])).map((outcome) => outcome.kind),
    ['failed', 'failed', 'answered'],
  )
  assert.deepEqual(
    here.receiver.requests.map((request) => request.headers['x-name']),
    [undefined, 'patient'],
  )
})

test('a sender that gives up gets its outcome at once, and the connection is closed', async () => {
  await using here = await world()
  here.receiver.behaves('hang')
  const giveUp = new AbortController()
  const sending = here.post({ signal: giveUp.signal })
  await here.receiver.received(1)
  giveUp.abort()
  const outcome = await sending
  assert.equal(outcome.kind, 'failed')
  assert.equal(outcome.reason, 'aborted')
  await here.receiver.connectionsFallTo(0)

  const late = await here.post({ signal: giveUp.signal })
  assert.equal(late.kind === 'failed' && late.reason, 'aborted')
  assert.equal(here.receiver.requests.length, 1)
})

test('a thousand sends may share one signal and leave nothing on it', patiently, async () => {
  await using here = await world()
  const warnings: Error[] = []
  const warn = (warning: Error) => warnings.push(warning)
  process.on('warning', warn)
  const { signal } = new AbortController()
  const outcomes = await Promise.all(Array.from({ length: 1_000 }, () => here.post({ signal })))
  process.off('warning', warn)
  assert.ok(outcomes.every((outcome) => outcome.kind === 'answered'))
  assert.deepEqual(warnings, [])
})

test('closing ends what is under way, waiting or idle; nothing is sent afterwards', async () => {
  await using here = await world({ connections: 2 })
  await here.post()
  here.receiver.behaves('hang')
  const sendings = Array.from({ length: 5 }, () => here.post())
  await here.receiver.received(3)
  await here.egress.close()
  for (const outcome of [...(await Promise.all(sendings)), await here.post()]) {
    assert.equal(outcome.kind === 'failed' && outcome.reason, 'aborted')
  }
  await here.receiver.connectionsFallTo(0)
  assert.equal(here.receiver.requests.length, 3)
})
