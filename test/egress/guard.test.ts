import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { AddressForbidden, createDial } from '#egress/dial.ts'
import { createEgress } from '#egress/send.ts'
import { startReceiver } from '../receiver.ts'
import { cert, host, key } from './certificate.ts'
import { canary, development, production, requestTo } from './fixture.ts'

const onThisMachine = async () => ['127.0.0.1']

const doors = [
  (port: number) => `https://127.0.0.1:${port}/hook`,
  (port: number) => `https://127.1:${port}/hook`,
  (port: number) => `https://2130706433:${port}/hook`,
  (port: number) => `https://0x7f000001:${port}/hook`,
  (port: number) => `https://0.0.0.0:${port}/hook`,
  (port: number) => `https://[::1]:${port}/hook`,
  (port: number) => `https://[::]:${port}/hook`,
  (port: number) => `https://[::ffff:127.0.0.1]:${port}/hook`,
  (port: number) => `https://[64:ff9b::127.0.0.1]:${port}/hook`,
  (port: number) => `https://localhost:${port}/hook`,
  (port: number) => `https://hooks.localhost:${port}/hook`,
  (port: number) => `https://hooks.customer.example:${port}/hook`,
  (port: number) => `http://hooks.customer.example:${port}/hook`,
]

test.each(doors)('in production nothing reaches this machine, door %#', async (door) => {
  await using bird = await canary()
  const egress = createEgress(production, { resolve: onThisMachine })
  const outcome = await egress.send(requestTo(door(bird.port)))
  assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden')
  await egress.close()
  assert.equal(bird.visits, 0)
})

test('an address in place of a name is judged again where it is dialled', async () => {
  await using bird = await canary()
  const dial = createDial(production, onThisMachine)
  for (const hostname of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '10.0.0.1', '127.1']) {
    const refusal = await new Promise((refused) => {
      const target = { hostname, port: String(bird.port), protocol: 'http:' }
      const dialling = { connectMs: 1_000, connected: () => refused('connected') }
      dial(target, dialling, (...[error]) => refused(error))
    })
    assert.ok(refusal instanceof AddressForbidden)
  }
  assert.equal(bird.visits, 0)
})

describe('a name', () => {
  const resolving = async (...answers: string[][]) => {
    const receiver = await startReceiver()
    const asked: string[] = []
    const egress = createEgress(development, {
      resolve: async (hostname) => {
        asked.push(hostname)
        return answers[asked.length - 1] ?? []
      },
    })
    const url = `http://hooks.customer.example:${receiver.port}/hook`
    const send = () => egress.send(requestTo(url))
    const end = () => Promise.all([egress.close(), receiver.stop()])
    return { receiver, asked, send, [Symbol.asyncDispose]: async () => void (await end()) }
  }

  test('with one private address among its addresses is refused as a whole', async () => {
    for (const inside of [
      '10.0.0.5',
      '169.254.169.254',
      'fd00:ec2::254',
      '::ffff:10.0.0.5',
      '::',
    ]) {
      for (const answer of [
        ['127.0.0.1', inside],
        [inside, '127.0.0.1'],
      ]) {
        await using here = await resolving(answer)
        const outcome = await here.send()
        assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden')
        assert.equal(here.receiver.requests.length, 0)
      }
    }
  })

  test('that changes its address between two looks is caught: each dial looks anew', async () => {
    await using here = await resolving(['127.0.0.1'], ['10.0.0.5'])
    assert.equal((await here.send()).kind, 'answered')
    here.receiver.hangsUp()
    await here.receiver.connectionsFallTo(0)
    const outcome = await here.send()
    assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden')
    assert.equal(here.receiver.requests.length, 1)
  })

  test('is looked up once for a connection, and what was judged is what is dialled', async () => {
    await using here = await resolving(['127.0.0.1'], ['10.0.0.5'], ['10.0.0.5'])
    for (let count = 0; count < 3; count++) {
      const outcome = await here.send()
      assert.equal(outcome.kind === 'answered' && outcome.address, '127.0.0.1')
    }
    assert.deepEqual(here.asked, ['hooks.customer.example'])
    assert.equal(
      here.receiver.requests[0]?.headers.host,
      `hooks.customer.example:${here.receiver.port}`,
    )
  })

  test('that is refused does not tell where it points: nobody can map our network', async () => {
    await using here = await resolving(['10.11.12.13'])
    const outcome = await here.send()
    assert.equal(outcome.kind, 'failed')
    assert.match(
      outcome.detail,
      /hooks\.customer\.example resolves to an address that is not public/,
    )
    assert.doesNotMatch(outcome.detail, /10\.11/)
  })

  test('without any address is an outcome', async () => {
    await using here = await resolving([])
    const outcome = await here.send()
    assert.equal(outcome.kind === 'failed' && outcome.reason, 'name_unresolved')
    assert.match(outcome.kind === 'failed' ? outcome.detail : '', /has no address \(ENODATA\)/)
  })
})

test('a name that does not exist is an outcome', async () => {
  const missing = Object.assign(new Error('queryA ENOTFOUND'), { code: 'ENOTFOUND' })
  const egress = createEgress(production, { resolve: () => Promise.reject(missing) })
  const outcome = await egress.send(requestTo('https://hooks.customer.example/'))
  assert.equal(outcome.kind, 'failed')
  assert.equal(outcome.reason, 'name_unresolved')
  assert.equal(outcome.detail, 'The host name does not exist (ENOTFOUND).')
  await egress.close()
})

test('name servers that hang end at the limit for connecting, not at the deadline', async () => {
  const egress = createEgress(production, { resolve: () => new Promise(() => {}) })
  const outcome = await egress.send(
    requestTo('https://hooks.customer.example/', { connectMs: 100 }),
  )
  assert.equal(outcome.kind === 'failed' && outcome.reason, 'timed_out')
  assert.ok(outcome.durationMs < 10_000)
  await egress.close()
})

describe('over TLS', () => {
  const secure = async (ca?: string, name = host) => {
    const receiver = await startReceiver({ cert, key })
    const options = { resolve: onThisMachine, ...(ca === undefined ? {} : { ca }) }
    const egress = createEgress(development, options)
    const send = () => egress.send(requestTo(`https://${name}:${receiver.port}/hook`))
    const end = () => Promise.all([egress.close(), receiver.stop()])
    return { receiver, send, [Symbol.asyncDispose]: async () => void (await end()) }
  }

  test('name and certificate are those of the host, though its address is dialled', async () => {
    await using here = await secure(cert)
    for (let count = 0; count < 3; count++) {
      const outcome = await here.send()
      assert.equal(outcome.kind === 'answered' && outcome.status, 204)
    }
    assert.equal(here.receiver.connections.made, 1)
    assert.equal(here.receiver.requests[0]?.headers.host, `${host}:${here.receiver.port}`)
  })

  test('a certificate not trusted, or of another name, ends it before we speak', async () => {
    await using stranger = await secure()
    await using impostor = await secure(cert, 'other.receiver.example')
    for (const here of [stranger, impostor]) {
      const outcome = await here.send()
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'tls_failed')
      assert.match(outcome.kind === 'failed' ? outcome.detail : '', /No trusted TLS connection/)
      assert.equal(here.receiver.requests.length, 0)
    }
  })

  test('a listener that never shakes hands ends at the limit for connecting', async () => {
    await using bird = await canary()
    const egress = createEgress(development, { resolve: onThisMachine })
    const url = `https://${host}:${bird.port}/`
    const outcome = await egress.send(requestTo(url, { connectMs: 200 }))
    assert.equal(outcome.kind === 'failed' && outcome.reason, 'timed_out')
    assert.ok(outcome.durationMs < 10_000)
    await bird.isAlone()
    await egress.close()
  })

  test('a deadline in the middle of the handshake leaves no connection behind', async () => {
    await using bird = await canary()
    const egress = createEgress(development, { resolve: onThisMachine })
    const url = `https://${host}:${bird.port}/`
    const outcome = await egress.send(requestTo(url, { deadlineMs: 200 }))
    assert.equal(outcome.kind === 'failed' && outcome.reason, 'timed_out')
    await bird.isAlone()
    await egress.close()
  })
})
