import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDoor } from '#app.ts'
import { type Route, routes } from '#generated/routes.ts'
import { mount } from '#http/mount.ts'
import { createServer } from '#http/server.ts'
import { operations } from '#operations.ts'
import { startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const deprecation = {
  since: '2026-01-31',
  sunset: '2027-06-30',
  successor: '/api/v2/clients',
  reason: 'Clients moved.',
}

/** The API as it will be when an operation is deprecated. */
async function startDeprecated(route: Route) {
  const door = openDoor(world.ctx)
  const app = createServer(world.ctx, [route])
  mount(app, door, [{ ...route, deprecation }], operations)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url,
    async stop() {
      await app.close()
      await door.close()
    },
  }
}

test('whoever calls what is deprecated is told since when, until when, and what comes after', async () => {
  const { api } = world
  for (const name of ['A', 'B']) await api.post('/api/v1/clients', { name, currency: 'EUR' })
  const old = await startDeprecated(routes.listClients)
  const ask = (query: string, key = api.key) =>
    fetch(`${old.url}/api/v1/clients?${query}`, { headers: { authorization: `Bearer ${key}` } })
  for (const reply of [await ask(''), await ask('no=1'), await ask('', 'junk')]) {
    expect(reply.headers.get('deprecation')).toBe('@1769817600')
    expect(reply.headers.get('sunset')).toBe('Wed, 30 Jun 2027 23:59:59 GMT')
    expect(reply.headers.get('link')).toBe('</api/v2/clients>; rel="successor-version"')
  }
  // A page says where the next one is as well.
  const link = (await ask('limit=1')).headers.get('link')
  expect(link).toMatch(/^<\S+cursor=\S+>; rel="next", <\S+>; rel="successor-version"$/)
  await old.stop()
})

test('what is not deprecated says nothing of the kind', async () => {
  const reply = await world.api.get('/api/v1/clients')
  expect(reply.headers.get('deprecation')).toBeNull()
  expect(reply.headers.get('sunset')).toBeNull()
})
