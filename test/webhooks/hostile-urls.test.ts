import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allTricks, neverReceivers, records, urlsFor } from '../egress/hostile-urls.ts'
import { nameServer } from '../egress/name-server.ts'
import { ownAddresses, type Watch, watch } from '../egress/watched.ts'
import { until } from '../jobs/until.ts'
import { inTurns } from '../turns.ts'
import { type Api, startWorld, type World } from '../world.ts'
import {
  anEndpoint,
  aReceiver,
  attempted,
  attemptsAt,
  createClients,
  deliveriesOf,
  deliveryTo,
} from './fixture.ts'

/*
 * The corpus of hostile URLs at each place where a tenant says where to send: when an endpoint is
 * registered, when it is changed, and at every send, with what was refused there written straight
 * into the table. A listener at every address of this machine must see nobody.
 */

const patient = { timeout: 120_000 }
const profiles = { production: allTricks, development: neverReceivers } as const

/** For what is no address of a canary: never dialled here. */
const publicUrl = 'https://hooks.customer.example/ubos'

describe.each(Object.entries(profiles))('in %s', (profile, tricks) => {
  let world: World
  let server: Awaited<ReturnType<typeof nameServer>>
  let bird: Watch
  let urls: string[]
  beforeAll(async () => {
    server = await nameServer((name) => records[name])
    bird = await watch()
    world = await startWorld({
      env: { UBOS_PROFILE: profile },
      egress: { resolve: server.resolve },
    })
    const own = ownAddresses().map((host) => `https://${host}:${bird.port}/`)
    urls = [...tricks.flatMap((trick) => urlsFor(trick, bird.port)), ...own]
  })
  afterAll(async () => {
    await world.stop()
    server[Symbol.dispose]()
    await bird[Symbol.asyncDispose]()
  })

  /** Those that look like any other name until it is asked where they are. */
  const isJudgedLater = (url: string) => /\.hostile\.example|tencentyun/.test(url)

  test('none of them can be registered, nor an endpoint be moved there', patient, async () => {
    const { api } = world
    const endpoint = await anEndpoint(api, publicUrl)
    await inTurns(
      urls.filter((url) => !isJudgedLater(url)),
      async (url) => {
        for (const reply of [
          await api.post('/api/v1/webhook-endpoints', { url }),
          await api.patch(endpoint.path, { url }),
        ]) {
          expect([400, 422], url).toContain(reply.status)
          expect(['invalid_request', 'endpoint_url_forbidden'], url).toContain(reply.body.code)
          expect(reply.body.errors[0].pointer, url).toBe('/url')
        }
      },
    )
    const { body } = await api.get(endpoint.path)
    expect([body.url, body.revision]).toEqual([publicUrl, 1])
    expect(bird.visits).toEqual([])
  })

  test(
    'none is sent to, though it stands in the table, and the tenant reads why',
    patient,
    async () => {
      // A text of Postgres cannot hold NUL, and so neither can a row.
      const kept = urls.filter((url) => !url.includes('\0'))
      const { api, endpoints, send } = await movable(world)
      for (let from = 0; from < kept.length; from += endpoints.length) {
        const sent = await send(kept.slice(from, from + endpoints.length))
        await inTurns(sent, async ({ url, deliveryId }) => {
          const [attempt] = await attemptsAt(api, { id: deliveryId })
          expect({ url, ...attempt }).toMatchObject({
            ...{ url, outcome: 'ADDRESS_FORBIDDEN', responseStatus: null },
            error: expect.stringMatching(/^\S.{10,}\.$/s),
          })
        })
      }
      expect(bird.visits).toEqual([])
    },
  )

  test('nor by a test event, or by a delivery that was asked for', patient, async () => {
    // What is no URL at all could not even be shown.
    const some = urls.filter((url) => /^https?:\/\/([a-z\d.]+|\[[a-f\d:.]+\]):\d+\/hook$/.test(url))
    const endpoints = await endpointsAt(
      world,
      some.filter((_, at) => at % 5 === 0),
    )
    await inTurns(endpoints, async ({ api, id, url }) => {
      const test = await api.post(`/api/v1/webhook-endpoints/${id}/test-events`)
      expect(test.status, url).toBe(202)
      const request = { eventId: test.body.id, endpointIds: [id] }
      expect((await api.post('/api/v1/webhook-deliveries', request)).status).toBe(202)
    })
    await world.drain()
    const { api, id } = endpoints.at(-1) ?? { api: world.api, id: '' }
    const deliveries = await deliveriesOf(api, `&endpointId=${id}`)
    expect(deliveries).toHaveLength(3)
    expect(deliveries.every(({ attemptCount }) => attemptCount > 0)).toBe(true)
    expect(bird.visits).toEqual([])
  })
})

/** Endpoints of one tenant that are moved, past the API, to some URLs after others. */
async function movable(world: World) {
  const api = await world.newTenant()
  const endpoints: string[] = []
  for (let count = 0; count < 50; count += 1) endpoints.push((await anEndpoint(api, publicUrl)).id)

  /** Tells each URL of one event, and answers which delivery that was. */
  async function send(urls: readonly string[]) {
    const [before] = await world.query<{ id: string }>(
      'select max(id) as id from webhook_delivery where endpoint_id = any($1)',
      [endpoints],
    )
    await world.query(
      `update webhook_endpoint as endpoint set url = moved.url
       from unnest($1::text[], $2::text[]) as moved (id, url) where endpoint.id = moved.id`,
      [endpoints.slice(0, urls.length), urls],
    )
    await createClients(api)
    let sent: { endpoint_id: string; id: string }[] = []
    await until(async () => {
      sent = await world.query(
        `select endpoint_id, id from webhook_delivery
         where endpoint_id = any($1) and id > $2 and attempt_count > 0`,
        [endpoints, before?.id ?? ''],
      )
      return sent.length === endpoints.length
    }, 60_000)
    return sent.flatMap(({ endpoint_id, id }) => {
      const url = urls[endpoints.indexOf(endpoint_id)]
      return url === undefined ? [] : [{ url, deliveryId: id }]
    })
  }

  return { api, endpoints, send }
}

/** An endpoint for each of at most a hundred URLs, and an event that all of them want. */
async function endpointsAt(world: World, urls: readonly string[]) {
  const api = await world.newTenant()
  const endpoints: { api: Api; id: string; url: string }[] = []
  for (const url of urls.slice(0, 100)) {
    const { id } = await anEndpoint(api, publicUrl)
    await world.query('update webhook_endpoint set url = $2 where id = $1', [id, url])
    endpoints.push({ api, id, url })
  }
  await createClients(api)
  return endpoints
}

describe('what is allowed is seen', () => {
  test('an endpoint of this machine in development is dialled, by its name too', async () => {
    const server = await nameServer((name) => records[name])
    const bird = await watch()
    const world = await startWorld({ egress: { resolve: server.resolve } })
    const api = await world.newTenant()
    const hosts = ['127.0.0.1', '[::1]', 'loopback.hostile.example', 'localhost']
    for (const host of hosts) await anEndpoint(api, `http://${host}:${bird.port}/`)
    await createClients(api)
    await until(() => bird.visits.length >= hosts.length)
    await world.stop()
    server[Symbol.dispose]()
    await bird[Symbol.asyncDispose]()
  })

  test('a name that points elsewhere at the second look is not followed there', async () => {
    const rebound = (_: string, count: number) => [count === 1 ? '127.0.0.1' : '0.0.0.0']
    const server = await nameServer(rebound)
    const world = await startWorld({ egress: { resolve: server.resolve } })
    const api = await world.newTenant()
    const receiver = await aReceiver()
    receiver.answers(503, { connection: 'close' })
    const endpoint = await anEndpoint(api, `http://rebound.customer.example:${receiver.port}/`)
    await createClients(api)
    await attempted(world, endpoint)
    receiver.answers(204)
    world.step(6_001)
    await attempted(world, endpoint, 2)
    const [first, second] = (await attemptsAt(api, await deliveryTo(api, endpoint))).sort(
      (one, other) => one.number - other.number,
    )
    expect([first?.outcome, second?.outcome]).toEqual(['REFUSED', 'ADDRESS_FORBIDDEN'])
    expect(receiver.connections.made).toBe(1)
    expect(await deliveriesOf(api)).toMatchObject([{ status: 'PENDING' }])
    await world.stop()
    server[Symbol.dispose]()
  })
})
