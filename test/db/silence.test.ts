import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startApi, startWorker } from '#app.ts'
import type { Context } from '#context.ts'
import { openDatabases } from '#db/open.ts'
import { until } from '../jobs/until.ts'
import { startReceiver } from '../receiver.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { databaseUrlOf } from './fixture.ts'
import { startLossyProxy } from './lossy-proxy.ts'

vi.setConfig({ testTimeout: 60_000 })

let world: World
let proxy: Awaited<ReturnType<typeof startLossyProxy>>
let stop: () => Promise<void>
let url: string
beforeAll(async () => {
  world = await startWorld({ parts: [] })
  proxy = await startLossyProxy(databaseUrlOf(world))
  const db = openDatabases(proxy.url, world.ctx.log)
  const ctx: Context = { ...world.ctx, db: { ...db, url: proxy.url } }
  const api = await startApi(ctx)
  const worker = startWorker(ctx)
  url = api.url
  stop = async () => {
    await Promise.all([api.stop(1_000), worker.stop(1_000)])
    await db.close()
    proxy.stop()
  }
})
afterAll(async () => {
  await stop()
  await world.stop()
})

/** The longest statement of a call, the margin, and a connection that is tried behind it. */
const longestWaitMs = 5_000 + 1_500 + 5_000

interface Told {
  name: string
  status: number
  code: string | undefined
  retryAfter: string | null
  ms: number
}

async function create(api: Api, name: string): Promise<Told> {
  const startMs = performance.now()
  const { status, headers, body } = await api.post(
    `${url}/api/v1/clients`,
    { name, currency: 'EUR' },
    { 'idempotency-key': name },
  )
  const ms = performance.now() - startMs
  return { name, status, code: body.code, retryAfter: headers.get('retry-after'), ms }
}

test('while the database is cut off calls are told within seconds to come back, and nothing needs a restart', async () => {
  const receiver = await startReceiver()
  const { api } = world
  await api.post(`${url}/api/v1/webhook-endpoints`, { url: receiver.url })
  const told: Told[] = []
  let isOver = false
  const callers = Array.from({ length: 8 }, async (_, caller) => {
    for (let turn = 0; !isOver; turn += 1) {
      const name = `silent-${caller}-${turn}`
      // As callers do: the same again under the same key until it is done.
      for (let done = false; !done; ) {
        const answer = await create(api, name)
        told.push(answer)
        done = answer.status === 201
      }
    }
  })
  const done = () => told.filter(({ status }) => status === 201)
  await until(() => done().length > 40)
  expect((await api.get(`${url}/readyz`)).status).toBe(200)

  proxy.fallSilent()
  const ready = async () => (await api.get(`${url}/readyz`)).status
  await until(async () => (await ready()) === 503)
  expect((await api.get(`${url}/livez`)).status).toBe(200)
  await until(() => told.some(({ status }) => status === 503), longestWaitMs)

  proxy.speak()
  const before = done().length
  await until(() => done().length > before + 40, 2 * longestWaitMs)
  await until(async () => (await ready()) === 200)
  isOver = true
  await Promise.all(callers)

  const refused = told.filter(({ status }) => status !== 201)
  expect(refused.filter(({ status }) => status !== 503)).toEqual([])
  expect(refused.filter(({ retryAfter }) => retryAfter === null)).toEqual([])
  expect(Math.max(...told.map(({ ms }) => ms))).toBeLessThan(2 * longestWaitMs)

  const names = done().map(({ name }) => name)
  const rows = await world.query<{ name: string }>(
    "select name from client where name like 'silent-%'",
  )
  expect(rows.map(({ name }) => name).sort()).toEqual(names.sort())
  const heard = () =>
    new Set(receiver.requests.map(({ body }) => JSON.parse(String(body)).data.name as string))
  // Far less than the minute that a statement of a worker may take.
  await until(() => names.every((name) => heard().has(name)), 20_000)
  await receiver.stop()
})
