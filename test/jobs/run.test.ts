import { afterAll, beforeAll, expect, test } from 'vitest'
import { transact } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'
import { type JobRun, TaskPause, TaskRefusal } from '#jobs/task.ts'
import { startWorld, type World } from '../world.ts'
import { ask, type Errand, errands, jobRow, tenantOf } from './fixture.ts'
import { until } from './until.ts'

let world: World
let tenant: TenantId
/** What the next runs of each errand do, by its name; otherwise they succeed. */
const scripts = new Map<string, (job: JobRun<Errand>) => Promise<object | undefined>>()
const runs: string[] = []

beforeAll(async () => {
  const errand = errands(async (job) => {
    runs.push(job.payload.name)
    return await scripts.get(job.payload.name)?.(job)
  })
  world = await startWorld({ tasks: [errand] })
  tenant = await tenantOf(world.api)
})
afterAll(() => world.stop())

async function ends(id: string, status: string) {
  await until(async () => (await jobRow(world, id)).status === status)
  return await jobRow(world, id)
}

function countOf(name: string): number {
  return runs.filter((run) => run === name).length
}

test('a job that was committed is run once, and what came of it is kept', async () => {
  scripts.set('sum', async () => ({ sum: 42 }))
  const [id = ''] = await ask(world, tenant, ['sum'])
  expect(await ends(id, 'SUCCEEDED')).toMatchObject({
    result: { sum: 42 },
    attempt_count: 1,
    lease_token: null,
    error: null,
  })
  expect(countOf('sum')).toBe(1)
})

test('a job whose transaction is rolled back is never run', async () => {
  const { enqueue } = await import('#jobs/enqueue.ts')
  const { systemCause } = await import('#http/operation.ts')
  const failed = transact(world.ctx, tenant, async (tx) => {
    enqueue(tx, systemCause(world.ctx, 'test'), { name: 'ERRAND' }, { name: 'ghost' })
    tx.queue({ name: 'boom', sql: "select ubos_raise('conflict')", parameters: [] } as never)
  })
  await expect(failed).rejects.toThrow('conflict')
  const [last = ''] = await ask(world, tenant, ['after the ghost'])
  await ends(last, 'SUCCEEDED')
  expect(countOf('ghost')).toBe(0)
})

test('a run that fails is tried again, later each time, and fails for good after the last', async () => {
  scripts.set('broken', async () => {
    throw new Error('secret detail')
  })
  const [id = ''] = await ask(world, tenant, ['broken'])
  const row = await ends(id, 'FAILED')
  expect(countOf('broken')).toBe(3)
  expect(row.attempt_count).toBe(3)
  expect(row.error).toBe('It failed by a fault of ours, which is in our log.')
})

test('a failure that no further run can mend is final at once, in its own words', async () => {
  scripts.set('refused', async () => {
    throw new TaskRefusal('The period ends before it begins.')
  })
  const [id = ''] = await ask(world, tenant, ['refused'])
  expect(await ends(id, 'FAILED')).toMatchObject({
    attempt_count: 1,
    error: 'The period ends before it begins.',
  })
})

test('runs count against a job only while it gets no further', async () => {
  let done = 0
  scripts.set('long way', async ({ progress }) => {
    done += 1
    progress(done, 6)
    if (done < 6) throw new Error('on the way')
    return undefined
  })
  const [id = ''] = await ask(world, tenant, ['long way'])
  expect(await ends(id, 'SUCCEEDED')).toMatchObject({ attempt_count: 6, furthest: '5' })
  scripts.set('stuck', async ({ progress, attempt }) => {
    progress(Math.min(attempt, 2))
    throw new Error('again here')
  })
  const [stuck = ''] = await ask(world, tenant, ['stuck'])
  expect(await ends(stuck, 'FAILED')).toMatchObject({ attempt_count: 5, fruitless_count: 3 })
})

test('so it is with processes that stop, each time a little further on', async () => {
  scripts.set('fallen', async () => undefined)
  const dueAt = new Date(world.ctx.clock.now().getTime() + 3_600_000)
  const [id = '', poor = ''] = await ask(world, tenant, ['fallen', 'poor'], { dueAt })
  const fallen = `update job set attempt_count = 9, fruitless_count = 3, furthest = 7,
      progress_done = $2, due_at = now() where id = $1`
  await world.query(fallen, [id, 8])
  await world.query(fallen, [poor, 7])
  await ask(world, tenant, ['wakes the feeder'])
  expect(await ends(id, 'SUCCEEDED')).toMatchObject({ attempt_count: 10, fruitless_count: 1 })
  expect(await ends(poor, 'FAILED')).toMatchObject({
    attempt_count: 10,
    error: 'The processes that ran it stopped, each time.',
  })
})

test('a run that pauses spends no attempt, and goes on later', async () => {
  let tries = 0
  scripts.set('patient', async ({ attempt }) => {
    tries += 1
    if (tries <= 5) throw new TaskPause(10)
    return { attempt }
  })
  const [id = ''] = await ask(world, tenant, ['patient'])
  expect(await ends(id, 'SUCCEEDED')).toMatchObject({ attempt_count: 1, result: { attempt: 1 } })
  expect(countOf('patient')).toBe(6)
})

test('a job due later is not run before its time', async () => {
  const dueAt = new Date(world.ctx.clock.now().getTime() + 60_000)
  const [later = ''] = await ask(world, tenant, ['later'], { dueAt })
  const [now = ''] = await ask(world, tenant, ['now'])
  await ends(now, 'SUCCEEDED')
  expect((await jobRow(world, later)).status).toBe('PENDING')
  world.step(61_000)
  await ends(later, 'SUCCEEDED')
})

test('progress is written down while a job runs, and a cancelled run is broken off', async () => {
  scripts.set('long', async ({ progress, signal }) => {
    progress(3, 10)
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return undefined
  })
  const [id = ''] = await ask(world, tenant, ['long'])
  await until(async () => (await jobRow(world, id)).progress_done === '3')
  await world.query('update job set is_cancel_asked = true where id = $1', [id])
  expect(await ends(id, 'CANCELLED')).toMatchObject({ attempt_count: 1, lease_token: null })
  expect(countOf('long')).toBe(1)
})

test('how far a run came is written down with its end, however short it was', async () => {
  scripts.set('short', async ({ progress }) => {
    progress(1, 2)
    progress(2)
    return undefined
  })
  const [id = ''] = await ask(world, tenant, ['short'])
  expect(await ends(id, 'SUCCEEDED')).toMatchObject({ progress_done: '2', progress_total: '2' })
})

test('a result that cannot be stored fails its own job and no other', async () => {
  scripts.set('unstorable', async () => ({ text: 'a\u0000b' }))
  scripts.set('too large', async () => ({ text: 'x'.repeat(65 * 1024) }))
  const [bad = '', large = '', good = ''] = await ask(world, tenant, [
    'unstorable',
    'too large',
    'storable',
  ])
  expect((await ends(bad, 'FAILED')).error).toBe('Its result cannot be stored.')
  expect((await ends(large, 'FAILED')).error).toContain('larger than')
  await ends(good, 'SUCCEEDED')
})

test('while a job of a key waits or runs a second is refused, and afterwards it is not', async () => {
  const options = { uniqueKey: 'nightly' }
  const [first = ''] = await ask(world, tenant, ['unique'], {
    ...options,
    dueAt: new Date(world.ctx.clock.now().getTime() + 5_000),
  })
  await expect(ask(world, tenant, ['unique'], options)).rejects.toMatchObject({
    constraint: 'job_unique_key',
  })
  world.step(6_000)
  await ends(first, 'SUCCEEDED')
  await ask(world, tenant, ['unique'], options)
})

test('what is urgent is handed over first', async () => {
  const order: string[] = []
  for (const name of ['low', 'high', 'normal']) {
    scripts.set(name, async () => void order.push(name) as undefined)
  }
  const dueAt = new Date(world.ctx.clock.now().getTime() + 30_000)
  const [low = ''] = await ask(world, tenant, ['low'], { dueAt, priority: 'LOW' })
  await ask(world, tenant, ['normal'], { dueAt })
  await ask(world, tenant, ['high'], { dueAt, priority: 'HIGH' })
  world.step(31_000)
  await ends(low, 'SUCCEEDED')
  expect(order).toEqual(['high', 'normal', 'low'])
})
