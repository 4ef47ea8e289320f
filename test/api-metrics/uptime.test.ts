import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { pruneBeats } from '../../src/retention/figures.sql.ts'
import { until } from '../jobs/until.ts'
import { type Api, startWorld, type World } from '../world.ts'

const minute = 60_000
const day = 24 * 60 * minute

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())
beforeEach(() => world.query('delete from api_beat'))

/** Beats of one process, so many minutes back, over a stretch of minutes. */
async function beats(
  fromBack: number,
  toBack: number,
  told: { process?: string; isAlive?: boolean; calls?: number; failures?: number } = {},
): Promise<void> {
  await world.query(
    `insert into api_beat (minute, process_id, is_alive, calls, failures)
      select date_trunc('minute', $1::timestamptz) - back * interval '1 minute', $4, $5, $6, $7
      from generate_series($3::int, $2::int) as back`,
    [
      world.ctx.clock.now(),
      fromBack,
      toBack,
      told.process ?? 'a',
      told.isAlive ?? true,
      told.calls ?? 0,
      told.failures ?? 0,
    ],
  )
}

async function uptime(window = 'LAST_24_HOURS') {
  const { status, body } = await api.get(`/api/v1/api-targets?window=${window}`)
  expect(status).toBe(200)
  return body.targets.find(({ name }: { name: string }) => name === 'API_UPTIME')
}

test('a running installation beats, and is up from its first beat on', async () => {
  await until(async () => (await world.query('select from api_beat where is_alive')).length > 0)
  // The minute that runs does not count yet, so there is nothing to tell.
  expect(await uptime()).toMatchObject({ status: 'NO_DATA', current: null, observations: 0 })
  await beats(600, 1)
  expect(await uptime()).toMatchObject({ status: 'MET', current: 100, observations: 600 })
})

test('minutes in which nothing ran are down, and two processes make no two minutes', async () => {
  await beats(1_440, 11)
  await beats(1_440, 500, { process: 'b' })
  const told = await uptime()
  expect(told).toMatchObject({ status: 'MISSED', observations: 1_440, subject: 'INSTALLATION' })
  expect(told.current).toBeCloseTo((1_430 * 100) / 1_440)
})

test('a minute in which half of all calls failed is down, over all processes together', async () => {
  await beats(1_000, 3)
  await beats(2, 2, { calls: 10, failures: 5 })
  await beats(1, 1, { calls: 10, failures: 9 })
  await beats(1, 1, { process: 'b', calls: 10, failures: 0 })
  expect((await uptime()).current).toBeCloseTo((999 * 100) / 1_000)
})

test('that a process heals later does not make up for minutes in which it was cut off', async () => {
  await beats(100, 51)
  await beats(50, 1, { isAlive: false })
  expect(await uptime()).toMatchObject({ status: 'MISSED', current: 50, observations: 100 })
})

test('each window counts its own minutes', async () => {
  await beats(3 * 1_440, 2 * 1_440)
  await beats(100, 1)
  expect((await uptime('LAST_24_HOURS')).observations).toBe(1_440)
  expect((await uptime('LAST_7_DAYS')).observations).toBe(3 * 1_440)
  const { body } = await api.get('/api/v1/api-targets?window=LAST_30_DAYS')
  expect(Date.parse(body.to) - Date.parse(body.from)).toBeGreaterThanOrEqual(30 * day)
  expect(body.targets.map(({ name }: { name: string }) => name)).toEqual([
    'API_UPTIME',
    'AVERAGE_LATENCY',
    'ERROR_RATE',
    'RATE_LIMIT_HITS',
  ])
})

test('old beats go, but for the first: a month without any must not count for nothing', async () => {
  await beats(40 * 1_440, 40 * 1_440 - 5)
  await pruneBeats(world.ctx)
  const old = await world.query("select from api_beat where minute < now() - interval '35 days'")
  expect(old).toHaveLength(1)
  expect(await uptime('LAST_7_DAYS')).toMatchObject({ current: 0, observations: 7 * 1_440 })
})
