import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { openDoor } from '#app.ts'
import { routes } from '#generated/routes.ts'
import { mount } from '#http/mount.ts'
import type { Figures } from '#http/pressure.ts'
import { gateBy } from '#http/pressure-gauge.ts'
import { createServer } from '#http/server.ts'
import { operations } from '#operations.ts'
import { until } from '../jobs/until.ts'
import { type Reply, refusedWith, startWorld, type World } from '../world.ts'
import { limitKeys } from './fixture.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const easy: Figures = { lagMs: 0, inside: 200, writesWaiting: 0, readsWaiting: 0 }

let world: World
let key: string
let url: string
let figures = easy
let stop: () => Promise<void>
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  const tenant = await world.newTenant()
  await limitKeys(world, tenant)
  const door = openDoor(world.ctx)
  const all = Object.values(routes)
  const app = createServer(world.ctx, all)
  const gate = gateBy(() => figures)
  mount(app, { ...door, gate }, all, operations)
  url = await app.listen({ host: '127.0.0.1', port: 0 })
  key = tenant.key
  stop = async () => {
    gate.stop()
    await app.close()
    await door.close()
  }
})
afterEach(async () => {
  figures = easy
  await until(async () => (await write()).status === 201, 30_000)
})
afterAll(async () => {
  await stop()
  await world.stop()
})

/** Calls the server whose pressure the test decides. */
async function call(key: string, method: string, path: string, body?: object): Promise<Reply> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(url + path, { method, headers, ...sent })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json')
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text,
  }
}

const write = (body: object = { name: 'Ada', currency: 'EUR' }, by = key) =>
  call(by, 'POST', '/api/v1/clients', body)
const get = (path: string) => call(key, 'GET', path)
const read = () => get('/api/v1/clients')

test('an overloaded process refuses writes, with a time to come back, and answers reads', async () => {
  figures = { ...easy, writesWaiting: 256 }
  await until(async () => (await write()).status === 503)
  const refused = await write()
  expect(refusedWith(refused, 'overloaded').type).toBe(
    'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
  )
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
  expect((await read()).status).toBe(200)
  const metrics = await get('/metrics')
  expect(metrics.body).toMatch(/ubos_shed_total\{class="write"\} [1-9]/)
})

test('when reads are too many as well, health and metrics are still answered', async () => {
  figures = { ...easy, lagMs: 100 }
  await until(async () => (await read()).status === 503)
  refusedWith(await write(), 'overloaded')
  expect((await get(`/livez`)).status).toBe(200)
  expect((await get('/metrics')).status).toBe(200)
})

test('overload tells nothing to whom we do not know, comes before the body is looked at, and costs no quota', async () => {
  figures = { ...easy, writesWaiting: 256 }
  await until(async () => (await write()).status === 503)
  refusedWith(await write({}, 'ubk_test_nobody'), 'unauthorized')
  refusedWith(await write({ nonsense: true }), 'overloaded')
  // Far more than the quota of this key: the first write after it passes all the same.
  for (let round = 0; round < 6; round += 1) {
    const replies = await Promise.all(Array.from({ length: 20 }, () => write()))
    for (const reply of replies) refusedWith(reply, 'overloaded')
  }
  figures = easy
  await until(async () => {
    const { status } = await write()
    if (status === 429) throw new Error('it was counted')
    return status === 201
  })
})
