import { afterAll, beforeAll, expect, test } from 'vitest'
import { misbehaviours, startMisbehaving, trusted } from '../egress/misbehaviours.ts'
import { startWorld, type World } from '../world.ts'
import {
  anEndpoint,
  aReceiver,
  attempted,
  attemptsAt,
  createClients,
  deliveryTo,
} from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({
    egress: { ca: trusted.join(''), resolve: async () => ['127.0.0.1'] },
  })
})
afterAll(() => world.stop())

const deadlineMs = 15_000

/** What nobody outside should read: our libraries, our files, our network. */
const internals = /undici|UND_|node:|\.(js|ts)\b|127\.0\.0\.1|\n/

test('whatever an endpoint does below HTTP, the tenant reads what it was, and others are told at once', {
  timeout: 90_000,
}, async () => {
  const api = await world.newTenant()
  const endpoints = await Promise.all(
    misbehaviours.map(async (one) => {
      const { url } = await startMisbehaving(one)
      return { one, ...(await anEndpoint(api, url)) }
    }),
  )
  const healthy = await aReceiver()
  await anEndpoint(api, healthy.url)
  await createClients(api)
  await healthy.received(1)

  for (const { one, id } of endpoints) {
    await attempted(world, { id }, 1, 40_000)
    const delivery = await deliveryTo(api, { id })
    const attempt = (await attemptsAt(api, delivery)).find(({ number }) => number === 1)
    const { comesTo, name } = one
    expect(attempt?.durationMs, name).toBeLessThan(deadlineMs + 2_500)
    if (typeof comesTo === 'number') {
      const outcome = comesTo < 300 ? 'DELIVERED' : 'REFUSED'
      expect({ name, ...attempt }).toMatchObject({ name, outcome, responseStatus: comesTo })
      expect(Buffer.byteLength(attempt?.responseBody ?? ''), name).toBeLessThanOrEqual(16 * 1024)
      continue
    }
    const [reason, detail] = comesTo
    expect({ name, ...attempt }).toMatchObject({
      ...{ name, outcome: reason.toUpperCase(), responseStatus: null },
      error: expect.stringMatching(detail),
    })
    expect(attempt?.error, name).not.toMatch(internals)
    expect(delivery.status, name).toBe('PENDING')
  }
})
