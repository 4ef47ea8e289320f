import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { makeUsageReport } from '#api-metrics/usage-report.task.ts'
import { type JobRun, type Task, TaskRefusal } from '#jobs/task.ts'
import type { UsageReportPayload } from '#jobs/usage-report.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { until } from './until.ts'

/* From a caller's wish to what it is told of the end, through everything in between. */

// A busy machine is slow, not wrong.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ tasks: [report] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

/** What the next reports do, by how they are grouped; the others are those of the product. */
const scripts = new Map<string, (job: JobRun) => Promise<never>>()

const report: Task = {
  ...makeUsageReport,
  async run(ctx, job) {
    await scripts.get((job.payload as UsageReportPayload).groupBy)?.(job)
    return await makeUsageReport.run(ctx, job)
  },
}

async function ask(over: object = {}, groupBy = 'DAY'): Promise<string> {
  const nowMs = world.ctx.clock.now().getTime()
  const [from, to] = [nowMs - 3 * 86_400_000, nowMs].map((ms) => new Date(ms).toISOString())
  const body = { task: 'USAGE_REPORT', payload: { from, to, groupBy }, ...over }
  const reply = await api.post('/api/v1/jobs', body)
  expect(reply.status, JSON.stringify(reply.body)).toBe(202)
  return `/api/v1/jobs/${reply.body.id}`
}

async function becomes(path: string, status: string) {
  await until(async () => (await api.get(path)).body.status === status, 60_000)
  return (await api.get(path)).body
}

/** The event of this type about a job, as its tenant reads it. */
async function told(type: string, id: string) {
  let found: { data: object } | undefined
  await until(async () => {
    const { data } = (await api.get(`/api/v1/events?eventType=${type}`)).body
    found = data.find((event: { data: { id: string } }) => event.data.id === id)
    return found !== undefined
  })
  return found
}

test('a report that is asked for is made, read where it was promised, and told of', async () => {
  const path = await ask()
  const job = await becomes(path, 'SUCCEEDED')
  expect(job).toMatchObject({ attemptCount: 1, error: null })
  expect(job.progress.done).toBe(job.progress.total)
  expect(job.result).toMatchObject({ groupBy: 'DAY', groupsLeftOut: 0 })
  expect(job.result.eventsPublished).toBeGreaterThan(0)
  expect((await told('job.succeeded', job.id))?.data).toEqual(job)
})

test('a schedule makes its report when it is time, and that is told of too', async () => {
  const { body: schedule } = await api.post('/api/v1/job-schedules', {
    ...{ name: 'Hourly', task: 'USAGE_REPORT', payload: { days: 1, groupBy: 'OPERATION' } },
    ...{ cron: '0 * * * *', timeZone: 'UTC' },
  })
  world.step(Date.parse(schedule.nextRunAt) - world.ctx.clock.now().getTime() + 500)
  const list = `/api/v1/jobs?scheduleId=${schedule.id}`
  await until(async () => (await api.get(list)).body.data[0]?.status === 'SUCCEEDED', 60_000)
  const { data } = (await api.get(list)).body
  expect(data).toHaveLength(1)
  const { result } = (await api.get(`/api/v1/jobs/${data[0].id}`)).body
  expect(result).toMatchObject({ groupBy: 'OPERATION', to: schedule.nextRunAt })
  expect(await told('job.succeeded', data[0].id)).toBeDefined()
})

test('a run under way breaks off when it is asked to, and starts again when that is asked', async () => {
  scripts.set(
    'KEY',
    ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  )
  const path = await ask({}, 'KEY')
  await becomes(path, 'RUNNING')
  const asked = await api.post(`${path}/cancellation`)
  expect(asked.body).toMatchObject({ status: 'RUNNING', isCancelAsked: true })
  const job = await becomes(path, 'CANCELLED')
  expect(await told('job.cancelled', job.id)).toBeDefined()

  scripts.delete('KEY')
  expect((await api.post(`${path}/retries`)).body).toMatchObject({ status: 'PENDING' })
  expect(await becomes(path, 'SUCCEEDED')).toMatchObject({ attemptCount: 1, isCancelAsked: false })
})

test('a job that fails for good says why, tells it, and can be tried again', async () => {
  scripts.set('NONE', () => Promise.reject(new TaskRefusal('There is nothing to report.')))
  const path = await ask({}, 'NONE')
  const job = await becomes(path, 'FAILED')
  expect(job).toMatchObject({ error: 'There is nothing to report.', result: null })
  expect((await told('job.failed', job.id))?.data).toMatchObject({ error: job.error })
  scripts.delete('NONE')
  await api.post(`${path}/retries`)
  expect(await becomes(path, 'SUCCEEDED')).toMatchObject({ error: null, attemptCount: 1 })
})

test('a job for later is not run before, and one that was cancelled meanwhile never', async () => {
  const inAnHour = new Date(world.ctx.clock.now().getTime() + 3_600_000).toISOString()
  const [kept, dropped] = [await ask({ runAt: inAnHour }), await ask({ runAt: inAnHour })]
  const sooner = await ask()
  await becomes(sooner, 'SUCCEEDED')
  expect((await api.get(kept)).body).toMatchObject({ status: 'PENDING', attemptCount: 0 })
  await api.post(`${dropped}/cancellation`)
  world.step(3_600_000)
  await becomes(kept, 'SUCCEEDED')
  expect((await api.get(dropped)).body).toMatchObject({ status: 'CANCELLED', attemptCount: 0 })
})
