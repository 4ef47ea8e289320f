import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorker } from '#app.ts'
import { createClock } from '#clock.ts'
import type { Id, TenantId } from '#ids.ts'
import { createRunner } from '#jobs/runner.ts'
import { createShares } from '#jobs/share.ts'
import { connectAs, databaseUrlOf } from '../db/fixture.ts'
import { contextOf, startWorld, type World } from '../world.ts'
import { ask, errands, jobRow, tenantOf } from './fixture.ts'
import { until } from './until.ts'

let world: World
let tenant: TenantId
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  tenant = await tenantOf(world.api)
})
afterAll(() => world.stop())

/** A worker with connections of its own, as another process has them. */
function workerWith(task: ReturnType<typeof errands>) {
  const ctx = contextOf(world.ctx.config, createClock(), databaseUrlOf(world))
  const worker = startWorker(ctx, [task])
  return {
    async stop(drainMs: number) {
      await worker.stop(drainMs)
      await ctx.egress.close()
      await (ctx.db as typeof ctx.db & { close(): Promise<void> }).close()
    },
  }
}

test('a worker that lost its lease cannot overwrite what the next one did, and is told to stop', async () => {
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>()
  let wasStopped = false
  const worker = workerWith(
    errands(async ({ signal }) => {
      signal.addEventListener('abort', () => {
        wasStopped = true
      })
      await finished
      return { by: 'the slow one' }
    }),
  )
  const [id = ''] = await ask(world, tenant, ['slow'])
  await until(async () => (await jobRow(world, id)).status === 'RUNNING')
  await world.query(
    `update job set lease_token = null, leased_until = null, status = 'SUCCEEDED',
       result = '{"by": "another"}' where id = $1`,
    [id],
  )
  await until(() => wasStopped)
  finish()
  await worker.stop(5_000)
  expect(await jobRow(world, id)).toMatchObject({
    status: 'SUCCEEDED',
    result: { by: 'another' },
    lease_token: null,
  })
})

test('a job that is handed over twice is run once', async () => {
  const [id = ''] = await ask(world, tenant, ['twice'])
  let runs = 0
  const worker = workerWith(
    errands(async () => {
      runs += 1
      return undefined
    }),
  )
  await until(async () => (await jobRow(world, id)).status === 'SUCCEEDED')
  await world.query(
    `select graphile_worker.add_job('ERRAND', json_build_object(
      'tenantId', tenant_id, 'jobId', id, 'token', 'stale')) from job where id = $1`,
    [id],
  )
  await until(async () => (await queued()) === 0)
  await worker.stop(1_000)
  expect(runs).toBe(1)
})

/** Holds the row of a job, so that whoever begins it waits until it is let go. */
async function holdJob(id: string) {
  const holder = await connectAs(databaseUrlOf(world), 'ubos_worker')
  await holder.query('begin')
  await holder.query('select from job where id = $1 for update', [id])
  return {
    isWaitedFor: async () =>
      (
        await world.query(
          `select from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'`,
        )
      ).length > 0,
    async letGo() {
      await holder.query('commit')
      await holder.end()
    },
  }
}

async function queued(): Promise<number> {
  const [row] = await world.query<{ count: string }>('select count(*) from graphile_worker.jobs')
  return Number(row?.count)
}

test('what is being begun when its worker is stopped is given back, and not run', async () => {
  let runs = 0
  const tasks = [
    errands(async () => {
      runs += 1
      return undefined
    }),
  ]
  const presence = { id: 7, isHeld: () => true, stop: async () => undefined }
  const runner = createRunner(world.ctx, {
    ...{ presence, tasks, shares: createShares(10), slots: 10 },
    ...{ conclude: () => Promise.reject(new Error('it does not end')), onEnded: () => undefined },
  })
  const [id = ''] = await ask(world, tenant, ['begun'])
  await world.query(`update job set lease_token = 'handed' where id = $1`, [id])
  const held = await holdJob(id)
  const performed = runner.perform({ tenantId: tenant, jobId: id as Id<'job'>, token: 'handed' })
  await until(held.isWaitedFor)
  await runner.stop(100)
  await held.letGo()
  await performed
  expect(runs).toBe(0)
  expect(await jobRow(world, id)).toMatchObject({
    ...{ status: 'PENDING', attempt_count: 0, lease_token: null },
  })
})

test('a worker that is stopped gives back what it runs, without burning an attempt', async () => {
  const stuck = errands(async ({ signal }) => {
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return undefined
  })
  const first = workerWith(stuck)
  const ids = await ask(world, tenant, ['stopped 1', 'stopped 2'])
  await until(async () => (await running(ids)) === 2)
  await first.stop(100)
  for (const id of ids) {
    expect(await jobRow(world, id)).toMatchObject({
      status: 'PENDING',
      attempt_count: 0,
      lease_token: null,
    })
  }
  const second = workerWith(errands(async () => undefined))
  await until(async () => (await jobRow(world, ids[1] ?? '')).status === 'SUCCEEDED')
  await second.stop(1_000)
  expect((await jobRow(world, ids[1] ?? '')).attempt_count).toBe(1)
})

async function running(ids: readonly string[]): Promise<number> {
  const rows = await Promise.all(ids.map((id) => jobRow(world, id)))
  return rows.filter(({ status }) => status === 'RUNNING').length
}

test('a task that takes longer than its time is broken off, even if it does not listen', async () => {
  const worker = workerWith(
    errands(async () => await new Promise(() => undefined), { timeoutMs: 200, attemptsMax: 1 }),
  )
  const [id = ''] = await ask(world, tenant, ['deaf'])
  await until(async () => (await jobRow(world, id)).status === 'FAILED', 15_000)
  expect((await jobRow(world, id)).error).toBe('It took longer than 0.2 seconds.')
  await worker.stop(1_000)
}, 30_000)

test('jobs are run after all connections of the workers were cut', async () => {
  const worker = workerWith(errands(async () => undefined))
  const [before = ''] = await ask(world, tenant, ['before'])
  await until(async () => (await jobRow(world, before)).status === 'SUCCEEDED')
  for (let round = 0; round < 5; round += 1) {
    await ask(
      world,
      tenant,
      Array.from({ length: 50 }, (_, number) => `cut ${round} ${number}`),
    )
    await world.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'ubos_worker'`,
    )
  }
  await until(async () => {
    const [open] = await world.query<{ count: string }>(
      `select count(*) from job where status in ('PENDING', 'RUNNING')`,
    )
    return open?.count === '0'
  }, 40_000)
  await worker.stop(1_000)
}, 60_000)
