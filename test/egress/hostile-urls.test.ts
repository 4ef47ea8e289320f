import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { EgressPolicy } from '#egress/address.ts'
import { createEgress } from '#egress/send.ts'
import { startReceiver } from '../receiver.ts'
import { development, production, requestTo } from './fixture.ts'
import { allTricks, neverReceivers, records, tricks, urlsFor } from './hostile-urls.ts'
import { type Answers, nameServer } from './name-server.ts'
import { ownAddresses, watch } from './watched.ts'

test('the corpus is large, and no URL stands in it twice', () => {
  const urls = allTricks.flatMap((trick) => trick.urls)
  assert.ok(urls.length >= 300, `${urls.length}`)
  assert.deepEqual(
    urls.filter((url, at) => urls.indexOf(url) !== at),
    [],
  )
})

/** Egress under a policy, whose name server is ours and whose every visit is seen. */
async function underWatch(policy: EgressPolicy, answers: Answers = (name) => records[name]) {
  const bird = await watch()
  const server = await nameServer(answers)
  const egress = createEgress(policy, { resolve: server.resolve })
  return {
    bird,
    server,
    send: (url: string) => egress.send({ ...requestTo(''), url, deadlineMs: 5_000 }),
    async [Symbol.asyncDispose]() {
      await egress.close()
      server[Symbol.dispose]()
      await bird[Symbol.asyncDispose]()
    },
  }
}

const byName = (some: readonly (typeof allTricks)[number][]) =>
  some.map((trick) => [trick.name, trick] as const)

describe('nothing is dialled in production', () => {
  test.each(byName(allTricks))('%s', async (_, trick) => {
    await using here = await underWatch(production)
    for (const url of urlsFor(trick, here.bird.port)) {
      const outcome = await here.send(url)
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden', url)
    }
    assert.deepEqual(here.bird.visits, [])
  })

  test('the addresses that this machine has in its networks', async () => {
    await using here = await underWatch(production)
    for (const host of ownAddresses()) {
      const outcome = await here.send(`https://${host}:${here.bird.port}/`)
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden', host)
    }
    assert.deepEqual(here.bird.visits, [])
  })
})

describe('nothing is dialled in development either, by whatever scheme', () => {
  test.each(byName(neverReceivers))('%s', async (_, trick) => {
    await using here = await underWatch(development)
    for (const secure of urlsFor(trick, here.bird.port)) {
      for (const url of [secure, secure.replace('https:', 'http:')]) {
        const outcome = await here.send(url)
        assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden', url)
      }
    }
    assert.deepEqual(here.bird.visits, [])
  })
})

describe('what is watched is seen', () => {
  test('in development every receiver of this machine is dialled', async () => {
    await using here = await underWatch(development)
    const receivers = allTricks.filter((trick) => trick.inDevelopment === 'receiver')
    const urls = receivers.flatMap((trick) => urlsFor(trick, here.bird.port))
    for (const url of urls) {
      const outcome = await here.send(url)
      assert.notEqual(outcome.kind === 'failed' && outcome.reason, 'address_forbidden', url)
    }
    assert.ok(here.bird.visits.length >= urls.length)
    assert.ok(here.bird.visits.includes('::1'))
    assert.ok(here.bird.visits.includes('::ffff:127.0.0.2'))
  })

  test('a client that does not look is led here by these same URLs', async () => {
    for (const trick of tricks.filter(({ leadsHere }) => leadsHere)) {
      await using bird = await watch()
      const urls = urlsFor(trick, bird.port)
      for (const url of urls) {
        await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
      }
      assert.ok(bird.visits.length >= urls.length / 2, `${trick.name}: ${bird.visits.length}`)
    }
  })
})

describe('a name that changes between two looks', () => {
  const name = 'rebound.hostile.example'
  const inside = ['0.0.0.0', '::', '10.0.0.5', '169.254.169.254', '::ffff:0.0.0.0']

  test.each(inside)('first here, then at %s: only the first is dialled', async (second) => {
    const answers: Answers = (_, count) => [count === 1 ? '127.0.0.1' : second]
    await using here = await underWatch(development, answers)
    const url = `http://${name}:${here.bird.port}/`
    assert.equal((await here.send(url)).kind === 'failed', true)
    assert.equal(here.bird.visits.length, 1)
    for (let count = 0; count < 5; count++) {
      const outcome = await here.send(url)
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden')
    }
    assert.equal(here.bird.visits.length, 1)
  })

  test('in production it is not dialled as soon as it points here, though it was asked before', async () => {
    const answers: Answers = (_, count) => (count % 2 === 1 ? ['10.0.0.5'] : ['127.0.0.1'])
    await using here = await underWatch(production, answers)
    for (let count = 0; count < 6; count++) {
      const outcome = await here.send(`https://${name}:${here.bird.port}/`)
      assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden')
    }
    assert.ok(here.server.questions.length >= 6)
    assert.deepEqual(here.bird.visits, [])
  })

  test('of both families, each is judged as it was told', async () => {
    const answers: Answers = (_, count) =>
      count === 1 ? ['127.0.0.1', '::1'] : ['127.0.0.1', '::']
    await using here = await underWatch(development, answers)
    const url = `http://${name}:${here.bird.port}/`
    await here.send(url)
    const seen = here.bird.visits.length
    assert.ok(seen >= 1)
    const outcome = await here.send(url)
    assert.equal(outcome.kind === 'failed' && outcome.reason, 'address_forbidden')
    assert.equal(here.bird.visits.length, seen)
  })
})

describe('a redirect', () => {
  const statuses = [300, 301, 302, 303, 304, 305, 306, 307, 308, 201, 200]

  test.each(statuses)(
    'by %i is not followed, wherever it leads and however it is told',
    async (status) => {
      await using here = await underWatch(development)
      const lure = await startReceiver()
      const { port } = here.bird
      const locations = [
        ...[`http://127.0.0.1:${port}/`, `https://127.0.0.1:${port}/`, `//127.0.0.1:${port}/`],
        ...[`http://[::1]:${port}/`, `http://localhost:${port}/`, `http://0.0.0.0:${port}/`],
        ...['/elsewhere', 'elsewhere', '../elsewhere', '?elsewhere', '', '.'],
        ...[`http:\\\\127.0.0.1:${port}`, 'file:///etc/passwd', 'http://169.254.169.254/'],
      ]
      for (const location of locations) {
        lure.answers(status, {
          location,
          refresh: `0; url=http://127.0.0.1:${port}/`,
          'content-location': `http://127.0.0.1:${port}/`,
          link: `<http://127.0.0.1:${port}/>; rel=preload`,
          'alt-svc': `h3=":${port}"; ma=1, http/1.1=":${port}"`,
        })
        const outcome = await here.send(lure.url)
        assert.equal(outcome.kind === 'answered' && outcome.status, status)
      }
      assert.equal(lure.requests.length, locations.length)
      assert.ok(lure.requests.every(({ path }) => path === '/hook'))
      assert.deepEqual(here.bird.visits, [])
      await lure.stop()
    },
  )
})
