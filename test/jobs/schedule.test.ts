import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { fireSchedules } from '#jobs/fire.task.ts'
import { schedulesMax } from '#jobs/schedule.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

/*
 * Schedules as callers see them, and what becomes of their times. No worker runs here: each pass over
 * the schedules is one that the test makes, at the time that it chose.
 */

const minute = 60_000
const hour = 60 * minute

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())
beforeEach(async () => {
  // What other tests have left is not due in this one.
  await world.query('delete from job_schedule')
  api = await world.newTenant()
})

const hourly = {
  ...{ name: 'Hourly', task: 'USAGE_REPORT', payload: { days: 1 } },
  ...{ cron: '0 * * * *', timeZone: 'UTC' },
}

async function aSchedule(over: object = {}, by = api) {
  const reply = await by.post('/api/v1/job-schedules', { ...hourly, ...over })
  expect(reply.status, JSON.stringify(reply.body)).toBe(201)
  return reply.body
}

const read = async (id: string) => (await api.get(`/api/v1/job-schedules/${id}`)).body
const change = (id: string, patch: object, headers = {}) =>
  api.patch(`/api/v1/job-schedules/${id}`, patch, headers)

async function jobsOf(id: string) {
  return (await api.get(`/api/v1/jobs?scheduleId=${id}&sort=createdAt`)).body.data
}

/** Steps the clock to a moment. */
function stepTo(moment: string | number, lateMs = 0): void {
  world.step(new Date(moment).getTime() + lateMs - world.ctx.clock.now().getTime())
}

async function finish(id: string): Promise<void> {
  await world.query("update job set status = 'SUCCEEDED' where schedule_id = $1", [id])
}

/** Makes more schedules that are like one. */
async function multiply(id: string, count: number): Promise<void> {
  await world.query(
    `insert into job_schedule select (jsonb_populate_record(s, jsonb_build_object(
       'id', 'sch_' || lpad(n::text, 26, '0')))).*
     from job_schedule as s, generate_series(1, $2::int) as n where s.id = $1`,
    [id, count],
  )
}

/** A context whose worker does something else first, whenever it is about to commit. */
function withCommit(act: () => Promise<void>): World['ctx'] {
  const { worker: pool } = world.ctx.db
  async function connect() {
    const client = await pool.connect()
    const query = client.query.bind(client)
    client.query = ((...args: Parameters<typeof query>) => {
      const [text] = args as unknown[]
      if (text !== 'commit') return query(...args)
      client.query = query
      return act().then(() => query('commit'))
    }) as typeof client.query
    return client
  }
  return { ...world.ctx, db: { ...world.ctx.db, worker: { ...pool, connect } as typeof pool } }
}

test('a new schedule says when it comes next, and is where Location says', async () => {
  const reply = await api.post('/api/v1/job-schedules', hourly)
  expect(reply.body).toMatchObject({
    ...{ payload: { days: 1, groupBy: 'DAY' }, priority: 'NORMAL', overlap: 'SKIP' },
    ...{ catchUp: 'LATEST', status: 'ENABLED', lastRunAt: null, revision: 1 },
  })
  const nextMs = Math.floor(world.ctx.clock.now().getTime() / hour + 1) * hour
  expect(Date.parse(reply.body.nextRunAt)).toBe(nextMs)
  const { headers, body } = await api.get(reply.headers.get('location') ?? '')
  expect(headers.get('etag')).toBe('"1"')
  expect(body).toEqual(reply.body)
})

test.for([
  [{ cron: '60 * * * *' }, '/cron'],
  [{ cron: '@daily' }, '/cron'],
  [{ cron: '? * * * *' }, '/cron'],
  [{ cron: '0 0 * * * *' }, '/cron'],
  [{ cron: '0 0 31 2 *' }, '/cron'],
  [{ timeZone: 'Mars/Olympus' }, '/timeZone'],
  [{ timeZone: '+02:00' }, '/timeZone'],
  [{ catchUp: 'ALL' }, '/catchUp'],
  [{ payload: { days: 93 } }, '/payload/days'],
] as const)(
  '%j is refused with the field’s name, new and as a change',
  async ([wrong, pointer]) => {
    const made = await api.post('/api/v1/job-schedules', { ...hourly, ...wrong })
    const changed = await change((await aSchedule()).id, wrong)
    for (const reply of [made, changed]) {
      expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe(pointer)
    }
  },
)

test('each time makes one job, for that time, and the schedule moves on', async () => {
  const { id, nextRunAt } = await aSchedule({ priority: 'HIGH', payload: { days: 2 } })
  await fireSchedules(world.ctx)
  expect(await jobsOf(id)).toEqual([])

  stepTo(nextRunAt, 700)
  await fireSchedules(world.ctx)
  await fireSchedules(world.ctx)
  const [job, ...others] = await jobsOf(id)
  expect(others).toEqual([])
  const from = new Date(Date.parse(nextRunAt) - 48 * hour).toISOString()
  expect(job).toMatchObject({
    ...{ scheduleId: id, task: 'USAGE_REPORT', status: 'PENDING', priority: 'HIGH' },
    ...{ dueAt: nextRunAt, payload: { from, to: nextRunAt, groupBy: 'DAY' } },
  })
  expect(await read(id)).toMatchObject({
    ...{ lastRunAt: nextRunAt, lastJobId: job.id, lastSkippedAt: null, revision: 1 },
    nextRunAt: new Date(Date.parse(nextRunAt) + hour).toISOString(),
  })
})

test('the feeder hears of jobs that were made, and not of a pass that made none', async () => {
  let raised = 0
  world.ctx.db.jobsCommitted.listen(() => {
    raised += 1
  })
  const { nextRunAt } = await aSchedule()
  await fireSchedules(world.ctx)
  expect(raised).toBe(0)
  stepTo(nextRunAt)
  await fireSchedules(world.ctx)
  expect(raised).toBe(1)
})

test('who looks while another is at it leaves its schedules alone, and waits for nobody', async () => {
  const { id, nextRunAt } = await aSchedule()
  stepTo(nextRunAt)
  let looked = 0
  const slow = withCommit(async () => {
    await fireSchedules(world.ctx)
    looked += 1
  })
  await fireSchedules(slow)
  expect(looked).toBe(1)
  expect(await jobsOf(id)).toHaveLength(1)
})

test('workers that look at once make no job twice, and leave none out', async () => {
  const { id, nextRunAt } = await aSchedule()
  await multiply(id, 59)
  stepTo(nextRunAt)
  await Promise.all([1, 2, 3, 4].map(() => fireSchedules(world.ctx)))
  await fireSchedules(world.ctx)
  const rows = await world.query<{ made: string }>(
    `select count(job.id) as made from job_schedule left join job
       on job.tenant_id = job_schedule.tenant_id and job.schedule_id = job_schedule.id
     group by job_schedule.id`,
  )
  expect(rows.map(({ made }) => made)).toEqual(Array.from({ length: 60 }, () => '1'))
})

test('a worker that dies in the middle has made nothing, and the next one makes it all', async () => {
  const { id, nextRunAt } = await aSchedule()
  stepTo(nextRunAt)
  const killed = () => Promise.reject(new Error('killed before the commit'))
  await expect(fireSchedules(withCommit(killed))).rejects.toThrow('killed')
  expect(await jobsOf(id)).toEqual([])
  await fireSchedules(world.ctx)
  expect(await jobsOf(id)).toHaveLength(1)
})

test('SKIP leaves a time out while the job before is not over, and says so; ALLOW does not', async () => {
  const [skip, allow] = [await aSchedule(), await aSchedule({ overlap: 'ALLOW' })]
  const second = Date.parse(skip.nextRunAt) + hour
  for (const at of [second - hour, second]) {
    stepTo(at)
    await fireSchedules(world.ctx)
  }
  expect(await jobsOf(skip.id)).toHaveLength(1)
  expect(await jobsOf(allow.id)).toHaveLength(2)
  expect((await read(skip.id)).lastSkippedAt).toBe(new Date(second).toISOString())

  await finish(skip.id)
  stepTo(second + hour)
  await fireSchedules(world.ctx)
  expect(await jobsOf(skip.id)).toHaveLength(2)
})

test('after a night without a worker each schedule makes up for what it should', async () => {
  const [none, latest, all] = [
    await aSchedule({ catchUp: 'NONE' }),
    await aSchedule({ catchUp: 'LATEST' }),
    await aSchedule({ catchUp: 'ALL', overlap: 'ALLOW' }),
  ]
  const first = Date.parse(none.nextRunAt)
  stepTo(first + 7 * hour, 5 * minute)
  await fireSchedules(world.ctx)
  const dueAt = async (id: string) =>
    (await jobsOf(id)).map((job: { dueAt: string }) => Date.parse(job.dueAt))
  expect(await dueAt(none.id)).toEqual([])
  expect(await dueAt(latest.id)).toEqual([first + 7 * hour])
  expect(await dueAt(all.id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((n) => first + n * hour))
  for (const { id } of [none, latest, all]) {
    expect(Date.parse((await read(id)).nextRunAt)).toBe(first + 8 * hour)
  }
})

test('a schedule that cannot be made out is paused with the reason, and holds up no other', async () => {
  const [broken, sound] = [await aSchedule(), await aSchedule()]
  await world.query(
    `update job_schedule set time_zone = 'Mars/Olympus', next_run_at = next_run_at - interval '1 day'
     where id = $1`,
    [broken.id],
  )
  stepTo(sound.nextRunAt)
  await fireSchedules(world.ctx)
  expect(await jobsOf(sound.id)).toHaveLength(1)
  const paused = await read(broken.id)
  expect(paused).toMatchObject({ status: 'PAUSED', nextRunAt: null, revision: 2 })
  expect(paused.pausedReason).toContain('Mars/Olympus')
  const { data } = (await api.get('/api/v1/audit-entries?action=job_schedule.paused')).body
  expect(data).toHaveLength(1)

  const mended = await change(broken.id, { timeZone: 'UTC', status: 'ENABLED' })
  expect(mended.body).toMatchObject({ status: 'ENABLED', pausedReason: null })
  expect(mended.body.nextRunAt).not.toBeNull()
})

test('a paused schedule makes nothing, and does not make up for it when it wakes', async () => {
  const { id, nextRunAt } = await aSchedule()
  await change(id, { status: 'PAUSED' })
  stepTo(nextRunAt, 3 * hour)
  await fireSchedules(world.ctx)
  const woken = await change(id, { status: 'ENABLED' })
  await fireSchedules(world.ctx)
  expect(await jobsOf(id)).toEqual([])
  expect(Date.parse(woken.body.nextRunAt)).toBeGreaterThan(world.ctx.clock.now().getTime())
})

test('a change asks for the revision, bumps it, and says what changed; an empty one does nothing', async () => {
  const { id } = await aSchedule()
  expect((await change(id, {})).body.revision).toBe(1)
  refusedWith(await change(id, { name: 'M' }, { 'if-match': '"2"' }), 'precondition_failed')
  const { body } = await change(id, { payload: { groupBy: 'KEY' } }, { 'if-match': '"1"' })
  expect(body).toMatchObject({ payload: { days: 1, groupBy: 'KEY' }, revision: 2 })
  const rows = await world.query<{ type: string; fields: string[] | null }>(
    `select type, told.body -> 'changedFields' as fields
     from event, lateral (select convert_from(event.body, 'UTF8')::jsonb as body) as told
     where told.body -> 'data' ->> 'id' = $1 order by id`,
    [id],
  )
  expect(rows).toEqual([
    { type: 'job_schedule.created', fields: null },
    { type: 'job_schedule.updated', fields: ['payload'] },
  ])
})

test('a deleted schedule makes no more jobs; what it made stays', async () => {
  const { id, nextRunAt } = await aSchedule()
  stepTo(nextRunAt)
  await fireSchedules(world.ctx)
  expect((await api.delete(`/api/v1/job-schedules/${id}`)).status).toBe(204)
  refusedWith(await api.get(`/api/v1/job-schedules/${id}`), 'not_found')
  stepTo(nextRunAt, hour)
  await fireSchedules(world.ctx)
  expect(await jobsOf(id)).toHaveLength(1)
})

test('a tenant has a hundred schedules and no more, however many ask at once', async () => {
  const { id } = await aSchedule()
  await multiply(id, schedulesMax - 2)
  const asked = Array.from({ length: 12 }, () => api.post('/api/v1/job-schedules', hourly))
  const replies = await Promise.all(asked)
  expect(replies.filter(({ status }) => status === 201)).toHaveLength(1)
  for (const reply of replies.filter(({ status }) => status === 409)) {
    refusedWith(reply, 'limit_reached')
  }
})
