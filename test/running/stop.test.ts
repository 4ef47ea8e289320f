import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startProgram } from '../../scripts/demo/program.ts'
import { startLossyProxy } from '../db/lossy-proxy.ts'
import { until } from '../jobs/until.ts'
import { startReceiver } from '../receiver.ts'
import { startWorld, type World } from '../world.ts'
import { aCaller, aProcess, envOf, liftLimits } from './fixture.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  await liftLimits(world)
  await world.query(`
    create function test_sleep() returns trigger language plpgsql as
      $$ begin perform pg_sleep(4); return new; end $$;
    create trigger test_sleep before insert on client for each row
      when (new.name like 'Slow%') execute function test_sleep()`)
})
afterAll(() => world.stop())

const isSleeping = async () => {
  const text = `select 1 from pg_stat_activity
    where datname = current_database() and wait_event = 'PgSleep'`
  return (await world.query(text)).length > 0
}

test('a process that leaves says so to probes first, closes connections after an answer, and ends what is under way', async () => {
  const { url, child } = await aProcess(world, 'api', { UBOS_DRAIN_SECONDS: '300' })
  const call = aCaller()
  const slow = call(`${url}/api/v1/clients`, world.api.key, { name: 'Slow', currency: 'EUR' })
  await until(isSleeping)
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const statusOf = async (path: string) => {
    const response = await fetch(url + path, { headers: { connection: 'keep-alive' } })
    await response.arrayBuffer()
    return [response.status, response.headers.get('connection')]
  }
  await until(async () => (await statusOf('/readyz'))[0] === 503)
  expect(await statusOf('/livez')).toEqual([200, 'close'])
  // Whoever still comes is served, and does not come back on this connection.
  const client = { name: 'Late', currency: 'EUR' }
  expect(await aCaller()(`${url}/api/v1/clients`, world.api.key, client)).toMatchObject({
    status: 201,
  })
  expect(await slow).toMatchObject({ status: 201 })
  // The second signal says that nobody is to be waited for: not for five minutes.
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
})

test('a second signal cuts what hangs, and what was cut is not half done', async () => {
  const { url, child } = await aProcess(world, 'api')
  const slow = aCaller()(`${url}/api/v1/clients`, world.api.key, {
    name: 'Slow and cut',
    currency: 'EUR',
  })
  await until(isSleeping)
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 600))
  child.kill('SIGTERM')
  expect(await slow).toMatchObject({ failed: expect.any(String) })
  expect(await exited).toBe(0)
  await until(async () => !(await isSleeping()))
  const [row] = await world.query<{ rows: string; events: string }>(
    `select (select count(*) from client where name = 'Slow and cut') as rows,
      (select count(*) from event where convert_from(body, 'UTF8') like '%Slow and cut%') as events`,
  )
  expect(row?.rows).toBe(row?.events)
})

test('a process that waits for its database is alive, not ready, and says so in the words of the contract', async () => {
  const proxy = await startLossyProxy(envOf(world).DATABASE_URL ?? '')
  proxy.delay(true)
  const port = String(20_000 + (process.pid % 10_000))
  const env = { ...envOf(world), DATABASE_URL: proxy.url, PORT: port }
  const starting = startProgram({ dataDir: '/tmp', role: 'api', env })
  const url = `http://127.0.0.1:${port}`
  const call = aCaller()
  await until(async () => 'status' in (await call(`${url}/livez`)), 30_000)
  expect(await call(`${url}/livez`)).toEqual({ status: 200, body: '{"status":"ALIVE"}' })
  for (const path of ['/readyz', '/api/v1/me']) {
    const answer = await call(url + path, world.api.key)
    expect(answer).toMatchObject({ status: 503, body: expect.stringContaining('"unavailable"') })
  }
  proxy.delay(false)
  const program = await starting
  expect(await call(`${url}/readyz`)).toMatchObject({ status: 200 })
  expect(await call(`${url}/api/v1/me`, world.api.key)).toMatchObject({ status: 200 })
  await program.end('SIGTERM')
  proxy.stop()
})

test('a process that begins before its database waits for it, and no longer than it is wanted', async () => {
  const [port, later] = [0, 1].map((at) => 30_000 + at + 2 * (process.pid % 10_000))
  const away = Object.assign(new URL(envOf(world).DATABASE_URL ?? ''), { port: String(later) }).href
  const env = { ...envOf(world), DATABASE_URL: away, PORT: String(port), ADMIN_PORT: '0' }
  const starting = startProgram({ dataDir: '/tmp', role: 'api', env })
  const call = aCaller()
  await until(async () => 'status' in (await call(`http://127.0.0.1:${port}/livez`)), 30_000)
  expect(await call(`http://127.0.0.1:${port}/readyz`)).toMatchObject({ status: 503 })
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  const proxy = await startLossyProxy(envOf(world).DATABASE_URL ?? '', later)
  const program = await starting
  expect(await call(`${program.url}/readyz`)).toMatchObject({ status: 200 })
  await program.end('SIGTERM')
  proxy.stop()

  // The name of one that begins beside us may not be known before it does.
  const nameless = Object.assign(new URL(away), { hostname: 'database.invalid' }).href
  for (const DATABASE_URL of [away, nameless]) {
    const unwanted = spawn(process.execPath, ['src/doorstep.js', 'api'], {
      env: { ...process.env, ...env, DATABASE_URL },
    })
    let said = ''
    for (const stream of [unwanted.stdout, unwanted.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk
      })
    }
    await until(() => said.includes('Waiting for the database: '), 30_000)
    unwanted.kill('SIGTERM')
    expect(await once(unwanted, 'close')).toEqual([1, null])
    expect(said).toMatch(/\nStopping: .+\nubos: the database cannot be reached: /)
  }
})

test('workers that are replaced one by one deliver everything once, and no attempt is spent on it', async () => {
  const api = await world.newTenant()
  const receiver = await startReceiver()
  receiver.answersWith(() => ({ status: 204 }))
  const endpoint = await api.post('/api/v1/webhook-endpoints', {
    url: receiver.url,
    eventTypes: ['client.created'],
  })
  let worker = await aProcess(world, 'worker')
  const count = 120
  let created = 0
  const creating = Array.from({ length: 4 }, async () => {
    while (created < count) {
      created += 1
      await api.post('/api/v1/clients', { name: 'Rolling', currency: 'EUR' })
    }
  })
  for (const goal of [20, 60]) {
    await until(() => receiver.requests.length >= goal, 60_000)
    const fresh = await aProcess(world, 'worker')
    await worker.end('SIGTERM')
    expect(worker.child.exitCode).toBe(0)
    worker = fresh
  }
  await Promise.all(creating)
  await until(() => receiver.requests.length >= count, 60_000)
  await world.drain()
  const ids = receiver.requests.map(({ headers }) => headers['webhook-id'])
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids).toHaveLength(count)
  const attempts = await world.query<{ number: number; outcome: string }>(
    `select distinct number, outcome from attempt join webhook_delivery as delivery
      on delivery.tenant_id = attempt.tenant_id and delivery.id = attempt.delivery_id
      where endpoint_id = $1`,
    [endpoint.body.id],
  )
  expect(attempts).toEqual([{ number: 1, outcome: 'DELIVERED' }])

  // What hangs is given back when the second signal comes, and is due as if it had not been tried.
  receiver.behaves('hang')
  await api.post('/api/v1/clients', { name: 'Hanging', currency: 'EUR' })
  await receiver.received(count + 1)
  const exited = new Promise<number | null>((resolve) => worker.child.once('exit', resolve))
  worker.child.kill('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 600))
  worker.child.kill('SIGTERM')
  expect(await exited).toBe(0)
  const due = await world.query(
    'select attempt_count, lease_token from delivery_due where endpoint_id = $1',
    [endpoint.body.id],
  )
  expect(due).toEqual([{ attempt_count: 0, lease_token: null }])
  await receiver.stop()
})
