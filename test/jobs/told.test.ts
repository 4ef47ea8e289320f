import { afterAll, beforeAll, expect, test } from 'vitest'
import { startReceiver } from '../receiver.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { ask, errands, jobRow, tenantOf } from './fixture.ts'
import { until } from './until.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
  api = world.api
})
afterAll(() => world.stop())

const body = {
  task: 'USAGE_REPORT',
  payload: { from: '2026-02-03T00:00:00.000Z', to: '2026-02-05T00:00:00.000Z' },
}

async function ends(path: string, status: string) {
  await until(async () => (await api.get(path)).body.status === status, 15_000)
  return (await api.get(path)).body
}

async function toldOf(id: string): Promise<string[]> {
  const rows = await world.query<{ type: string }>(
    `select type from event where convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'id' = $1
     order by id`,
    [id],
  )
  return rows.map(({ type }) => type)
}

test('a report that was asked for is made, kept in its job, and told with a webhook', async () => {
  const receiver = await startReceiver()
  const endpoint = { url: receiver.url, eventTypes: ['job.succeeded'] }
  await api.post('/api/v1/webhook-endpoints', endpoint)
  const asked = await api.post('/api/v1/jobs', body)
  const job = await ends(asked.headers.get('location') ?? '', 'SUCCEEDED')
  expect(job.result.from).toBe(body.payload.from)
  expect(job).toMatchObject({ attemptCount: 1, error: null, isCancelAsked: false })
  await until(() => receiver.requests.length === 1)
  expect(JSON.parse(String(receiver.requests[0]?.body)).data).toEqual(job)
  await receiver.stop()
})

test('a schedule whose time comes makes a job that runs, once', async () => {
  const schedule = await api.post('/api/v1/job-schedules', {
    name: 'Each hour',
    task: 'USAGE_REPORT',
    payload: { days: 1 },
    cron: '0 * * * *',
    timeZone: 'Europe/Berlin',
  })
  expect(schedule.status).toBe(201)
  world.step(60 * 60 * 1_000)
  const list = () => api.get(`/api/v1/jobs?scheduleId=${schedule.body.id}`)
  await until(async () => (await list()).body.data.length > 0, 15_000)
  const [job] = (await list()).body.data
  await ends(`/api/v1/jobs/${job.id}`, 'SUCCEEDED')
  expect((await list()).body.data).toHaveLength(1)
  expect(await toldOf(job.id)).toEqual(['job.succeeded'])
})

test('a job that fails for good is told, what the system does by itself is not news', async () => {
  const quiet = await startWorld({
    tasks: [
      errands(async ({ payload: { name } }) => {
        if (name === 'bad') throw new Error('no')
        return undefined
      }),
    ],
  })
  const own = await tenantOf(quiet.api)
  const [good = '', bad = ''] = await ask(quiet, own, ['good', 'bad'])
  await until(async () => (await jobRow(quiet, bad)).status === 'FAILED')
  await until(async () => (await jobRow(quiet, good)).status === 'SUCCEEDED')
  const told = await quiet.query<{ type: string; data: { id: string; attemptCount: number } }>(
    `select type, convert_from(body, 'UTF8')::jsonb -> 'data' as data from event
     where type like 'job.%'`,
  )
  expect(told).toEqual([
    { type: 'job.failed', data: expect.objectContaining({ id: bad, attemptCount: 3 }) },
  ])
  await quiet.stop()
})

test('a job that is called off while it waits never runs, and can be put back', async () => {
  const runAt = new Date(world.ctx.clock.now().getTime() + 3_600_000).toISOString()
  const asked = await api.post('/api/v1/jobs', { ...body, runAt })
  const path = asked.headers.get('location') ?? ''
  await api.post(`${path}/cancellation`)
  await ends(path, 'CANCELLED')
  const again = await api.post(`${path}/retries`)
  expect(again.status).toBe(202)
  await ends(path, 'SUCCEEDED')
  expect(await toldOf(asked.body.id)).toEqual(['job.cancelled', 'job.succeeded'])
})
