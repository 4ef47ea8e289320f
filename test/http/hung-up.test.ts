import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDoor } from '#app.ts'
import type { Route } from '#generated/routes.ts'
import { routes } from '#generated/routes.ts'
import { createConcurrency } from '#http/concurrency.ts'
import { createLimiter } from '#http/limiter.ts'
import { mount } from '#http/mount.ts'
import { createServer } from '#http/server.ts'
import { operations } from '#operations.ts'
import { until } from '../jobs/until.ts'
import { startWorld, type World } from '../world.ts'
import { requestText } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

test('a caller that hangs up while its key is looked up leaves its place to others', async () => {
  const { api } = world
  const door = openDoor(world.ctx)
  const counted = createConcurrency()
  let [entered, left] = [0, 0]
  const waiting: (() => void)[] = []
  const all: Route[] = [routes.getMe]
  const app = createServer(world.ctx, all)
  mount(
    app,
    {
      ...door,
      async authenticate(attempt) {
        await new Promise<void>((resolve) => waiting.push(resolve))
        return await door.authenticate(attempt)
      },
      concurrency: {
        ...counted,
        enter(tenantId, most) {
          entered += 1
          const leave = counted.enter(tenantId, most)
          return (
            leave &&
            (() => {
              left += 1
              leave()
            })
          )
        },
      },
    },
    all,
    operations,
  )
  const url = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const socket = connect(Number(url.port), url.hostname)
  socket.write(requestText('GET /api/v1/me', { authorization: `Bearer ${api.key}` }))
  await until(() => waiting.length === 1)
  let isGone = false
  socket.destroy()
  await until(() => {
    app.server.getConnections((_error, count) => {
      isGone = count === 0
    })
    return isGone
  })
  waiting[0]?.()
  await until(() => entered === 1 && left === 1)
  await app.close()
  await door.close()
})

test('of all that wait for one telling no more pass than a tenth of the quota before the next', async () => {
  const shared: number[] = []
  const { worker } = world.ctx.db
  const query = async (config: { values: number[][] }) => {
    shared.push(...(config.values[2] ?? []))
    return await worker.query(config as never)
  }
  const ctx = { ...world.ctx, db: { ...world.ctx.db, worker: { query } as never } }
  const limiter = createLimiter(ctx)
  const { tenant, key } = (await world.api.get('/api/v1/me')).body
  const policy = { name: 'tight', quota: 100, windowSeconds: 100 }
  const calls = Array.from({ length: 60 }, () =>
    limiter.take({ tenantId: tenant.id, key }, [{ holder: 'key', policy }], 1, Date.now()),
  )
  const taken = await Promise.all(calls)
  expect(taken.every(({ violated }) => violated.length === 0)).toBe(true)
  await limiter.stop()
  // A unit comes back in a second: a tenth of the quota, and the call that reached it.
  expect(Math.max(...shared)).toBeLessThanOrEqual(11_000)
  expect(shared.reduce((sum, spentMs) => sum + spentMs, 0)).toBe(60_000)
})
