import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabases } from '#db/open.ts'
import { runRequestLog } from '#request-log/writer.ts'
import { startSecond } from '../api-keys/second-process.ts'
import { databaseUrlOf } from '../db/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { aCall, tenantA } from './fixture.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

/** The worker's ways to Postgres lead nowhere until they are mended; all else works. */
async function startWithoutWorker() {
  const { log } = world.ctx
  const good = openDatabases(databaseUrlOf(world), log)
  let isBroken = true
  const query = (...args: Parameters<typeof good.worker.query>) =>
    isBroken ? Promise.reject(new Error('Connection terminated')) : good.worker.query(...args)
  const worker = Object.assign(Object.create(good.worker), { query })
  const second = await startSecond(world, (ctx) => ({ ...ctx, db: { ...good, worker } }))
  return {
    ...second,
    mend() {
      isBroken = false
    },
    async stop() {
      await second.stop()
      await good.close()
    },
  }
}

const idsOf = (replies: Response[]) => replies.map(({ headers }) => headers.get('x-request-id'))

test('while no row can be written calls are answered as ever, and their rows come later', async () => {
  const second = await startWithoutWorker()
  const headers = { authorization: `Bearer ${api.key}` }
  const call = () => fetch(`${second.url}/api/v1/me`, { headers })
  const replies: Response[] = []
  for (let at = 0; at < 20; at += 1) {
    replies.push(...(await Promise.all(Array.from({ length: 20 }, call))))
  }
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]))
  const count = async () => {
    const text = 'select count(*) from request_log where id = any($1)'
    return Number((await world.query(text, [idsOf(replies)]))[0]?.count)
  }
  expect(await count()).toBe(0)
  second.mend()
  await until(async () => (await count()) === replies.length, 20_000)
  const calls = async () => {
    const [told] = await world.query<{ calls: string }>(
      "select sum(calls) as calls from api_call_minute where operation_id = 'getMe'",
    )
    return Number(told?.calls)
  }
  await until(async () => (await calls()) === replies.length)
  await second.stop()
})

test('a stop does not wait for a database that does not answer', async () => {
  const second = await startWithoutWorker()
  await fetch(`${second.url}/api/v1/me`, { headers: { authorization: `Bearer ${api.key}` } })
  const startedMs = performance.now()
  await second.stop()
  expect(performance.now() - startedMs).toBeLessThan(5_000)
})

test('a batch whose answer was lost on the way is written once', async () => {
  let lost = 0
  const query = async (...args: Parameters<typeof world.ctx.db.worker.query>) => {
    const isLost = lost === 0 && JSON.stringify(args[0]).includes('insert into request_log')
    const answer = await world.ctx.db.worker.query(...args)
    if (!isLost) return answer
    lost += 1
    throw new Error('Connection terminated unexpectedly')
  }
  const worker = Object.assign(Object.create(world.ctx.db.worker), { query })
  const requestLog = runRequestLog({ ...world.ctx, db: { ...world.ctx.db, worker } })
  const ids = Array.from({ length: 30 }, () => world.ctx.clock.newId('req'))
  const told = { tenantId: tenantA, apiKeyId: 'key_a' as const, isAdmitted: true }
  const bodies = { request: undefined, response: undefined }
  for (const id of ids) requestLog.note(aCall({ ...told, id }), bodies)
  await until(() => lost === 1)
  const last = world.ctx.clock.newId('req')
  requestLog.note(aCall({ ...told, id: last }), bodies)
  const rows = () =>
    world.query("select left_out_before from request_log where api_key_id = 'key_a'")
  await until(async () => (await rows()).length > ids.length)
  await requestLog.stop(5_000)
  expect((await rows()).map((row) => row.left_out_before)).toEqual(Array(31).fill(0))
})

test('a row that the database refuses for good takes no other batch with it', async () => {
  const requestLog = runRequestLog(world.ctx)
  const bodies = { request: undefined, response: undefined }
  const told = { tenantId: tenantA, apiKeyId: 'key_b' as const, isAdmitted: true }
  requestLog.note(aCall({ ...told, userAgent: 'a\0b' }), bodies)
  await new Promise((resolve) => setTimeout(resolve, 0))
  const rows = () =>
    world.query("select left_out_before from request_log where api_key_id = 'key_b'")
  await until(async () => {
    requestLog.note(aCall({ ...told, id: world.ctx.clock.newId('req') }), bodies)
    return (await rows()).length > 0
  })
  await requestLog.stop(5_000)
  const told_ = (await rows()).map((row) => Number(row.left_out_before))
  expect(Math.max(...told_)).toBeGreaterThan(0)
})
