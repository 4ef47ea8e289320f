import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

/*
 * What callers see of jobs. No worker runs here: a job is in the state that a test puts it in, as the
 * runtime would.
 */

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())
beforeEach(async () => {
  api = await world.newTenant()
})

const payload = { from: '2026-02-03T00:00:00.000Z', to: '2026-02-04T00:00:00.000Z' }
const report = { task: 'USAGE_REPORT', payload }
const ask = (over: object = {}, headers = {}) =>
  api.post('/api/v1/jobs', { ...report, ...over }, headers)
const inMs = (ms: number) => new Date(world.ctx.clock.now().getTime() + ms).toISOString()
const hour = 3_600_000

async function aJob(status: string, over: object = {}): Promise<string> {
  const { id } = (await ask(over)).body
  await world.query(
    `update job set status = $2, attempt_count = 3, error = 'It failed.', progress_done = 1,
       progress_total = 4, started_at = now(),
       lease_token = case when $2 in ('PENDING', 'RUNNING') then 'held' end,
       finished_at = case when $2 in ('FAILED', 'CANCELLED', 'SUCCEEDED') then now() end
     where id = $1`,
    [id, status],
  )
  return `/api/v1/jobs/${id}`
}

async function rowOf(path: string) {
  const [row] = await world.query('select * from job where id = $1', [path.split('/').at(-1)])
  return row ?? {}
}

async function eventsOf(resourceId: string): Promise<string[]> {
  const rows = await world.query<{ type: string }>(
    `select type from event where convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'id' = $1
     order by id`,
    [resourceId],
  )
  return rows.map(({ type }) => type)
}

test('what is asked for is a job that waits, and is where Location says', async () => {
  const reply = await ask({}, { 'x-correlation-id': 'order-4711' })
  expect(reply.status).toBe(202)
  expect(reply.body).toMatchObject({
    ...{ task: 'USAGE_REPORT', status: 'PENDING', priority: 'NORMAL', attemptCount: 0 },
    payload: { ...payload, groupBy: 'DAY' },
    ...{ progress: null, result: null, error: null, scheduleId: null, isCancelAsked: false },
    correlationId: 'order-4711',
  })
  const { body } = await api.get(reply.headers.get('location') ?? '')
  expect(body).toEqual(reply.body)
  const [row] = await world.query('select payload, actor_type from job where id = $1', [body.id])
  expect(row).toEqual({ payload: body.payload, actor_type: 'API_KEY' })
})

test('a job under an Idempotency-Key is made once', async () => {
  const key = { 'idempotency-key': 'once' }
  const first = await ask({}, key)
  const second = await ask({}, key)
  expect(second.body).toEqual(first.body)
  expect((await api.get('/api/v1/jobs')).body.data).toHaveLength(1)
})

test('a time that is over means at once; one to come is waited for; a year is the most', async () => {
  const past = await ask({ runAt: '2020-01-01T00:00:00Z' })
  expect(past.body.dueAt).toBe(past.body.createdAt)
  const runAt = inMs(hour)
  expect((await ask({ runAt })).body.dueAt).toBe(runAt)
  const { errors } = refusedWith(await ask({ runAt: inMs(400 * 24 * hour) }), 'invalid_request')
  expect(errors[0].pointer).toBe('/runAt')
})

test.for([
  ['an empty period', { ...payload, to: payload.from }],
  ['a period that ends before it begins', { from: payload.to, to: payload.from }],
  ['more than 92 days', { from: '2026-01-01T00:00:00Z', to: '2026-04-03T00:00:01Z' }],
])('%s is refused, and no job is made', async ([, wrong]) => {
  const { errors } = refusedWith(await ask({ payload: wrong }), 'invalid_request')
  expect(errors[0].pointer).toBe('/payload/from')
  expect((await api.get('/api/v1/jobs')).body.data).toEqual([])
})

test('92 days are not too many', async () => {
  const most = { from: '2026-01-01T00:00:00Z', to: '2026-04-03T00:00:00Z' }
  expect((await ask({ payload: most })).status).toBe(202)
})

test('of one unique key one job waits or runs, of any number of callers at once', async () => {
  const replies = await Promise.all([1, 2, 3, 4].map(() => ask({ uniqueKey: 'January' })))
  expect(replies.map(({ status }) => status).sort()).toEqual([202, 409, 409, 409])
  for (const reply of replies.filter(({ status }) => status === 409)) {
    refusedWith(reply, 'unique_key_taken')
  }
  const other = await world.newTenant()
  const body = { ...report, uniqueKey: 'January' }
  expect((await other.post('/api/v1/jobs', body)).status).toBe(202)
})

test('a unique key is free again after the end, and a retry does not take it from another', async () => {
  const first = await aJob('FAILED', { uniqueKey: 'January' })
  const second = await ask({ uniqueKey: 'January' })
  expect(second.status).toBe(202)
  refusedWith(await api.post(`${first}/retries`), 'unique_key_taken')
  await api.post(`/api/v1/jobs/${second.body.id}/cancellation`)
  expect((await api.post(`${first}/retries`)).status).toBe(202)
})

test.for(['FAILED', 'CANCELLED'])(
  'a %s job is tried again with all of its tries',
  async (status) => {
    const path = await aJob(status)
    world.step(60_000)
    const now = world.ctx.clock.now().getTime()
    const reply = await api.post(`${path}/retries`)
    expect(reply.status).toBe(202)
    expect(reply.body).toMatchObject({
      ...{ status: 'PENDING', attemptCount: 0, progress: null, error: null },
      ...{ startedAt: null, finishedAt: null },
    })
    expect(Date.parse(reply.body.dueAt)).toBeGreaterThanOrEqual(now)
    expect((await api.get(path)).body).toEqual(reply.body)
    expect((await rowOf(path)).lease_token).toBeNull()
  },
)

test.for(['PENDING', 'RUNNING', 'SUCCEEDED'])('a %s job is not tried again', async (status) => {
  const path = await aJob(status)
  const before = await rowOf(path)
  refusedWith(await api.post(`${path}/retries`), 'invalid_state')
  expect(await rowOf(path)).toEqual(before)
})

test('a job that waits is cancelled at once: whoever was handed it can do nothing, all are told', async () => {
  const path = await aJob('PENDING')
  const reply = await api.post(`${path}/cancellation`)
  expect(reply.status).toBe(200)
  expect(reply.body.status).toBe('CANCELLED')
  expect(reply.body.finishedAt).not.toBeNull()
  expect(await rowOf(path)).toMatchObject({ status: 'CANCELLED', lease_token: null })
  expect((await api.get(path)).body).toEqual(reply.body)
  expect(await eventsOf(reply.body.id)).toEqual(['job.cancelled'])
})

test('a job that runs is asked to break off, once, and keeps its lease', async () => {
  const path = await aJob('RUNNING')
  const reply = await api.post(`${path}/cancellation`)
  expect(reply.body).toMatchObject({ status: 'RUNNING', isCancelAsked: true })
  expect(await rowOf(path)).toMatchObject({ lease_token: 'held', is_cancel_asked: true })
  const again = await api.post(`${path}/cancellation`)
  expect(again.body).toEqual(reply.body)
  expect(await eventsOf(reply.body.id)).toEqual([])
})

test.for(['SUCCEEDED', 'FAILED', 'CANCELLED'])('a %s job cannot be cancelled', async (status) => {
  const path = await aJob(status)
  refusedWith(await api.post(`${path}/cancellation`), 'invalid_state')
  expect((await rowOf(path)).status).toBe(status)
})

test('what a job says of itself is what its row says', async () => {
  const path = await aJob('SUCCEEDED')
  await world.query(`update job set result = '{"made": 7}', error = null where id = $1`, [
    path.split('/').at(-1),
  ])
  const { body } = await api.get(path)
  expect(body).toMatchObject({
    ...{ status: 'SUCCEEDED', attemptCount: 3, progress: { done: 1, total: 4 } },
    ...{ result: { made: 7 }, error: null },
  })
  const { data } = (await api.get('/api/v1/jobs')).body
  const { result: _, ...summary } = body
  expect(data).toEqual([summary])
})

test('lists are cut by state, task and schedule', async () => {
  const failed = await aJob('FAILED')
  const waiting = await aJob('PENDING')
  const schedule = `sch_${'0'.repeat(26)}`
  const id = waiting.split('/').at(-1)
  await world.query('update job set schedule_id = $2 where id = $1', [id, schedule])
  const idsOf = async (query: string) =>
    (await api.get(`/api/v1/jobs?${query}`)).body.data.map((job: { id: string }) => job.id)
  expect(await idsOf('status=FAILED')).toEqual([failed.split('/').at(-1)])
  expect(await idsOf(`scheduleId=${schedule}`)).toEqual([id])
  expect(await idsOf('task=USAGE_REPORT')).toHaveLength(2)
  expect(await idsOf('task=OTHER_TASK')).toEqual([])
})

test('a key that may not read metrics cannot have them reported', async () => {
  const reply = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['jobs:write'] })
  const narrow = world.callsWith(reply.body.key)
  const { detail } = refusedWith(await narrow.post('/api/v1/jobs', report), 'insufficient_scope')
  expect(detail).toContain('api_metrics:read')
})
