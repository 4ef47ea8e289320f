import { expect, test } from 'vitest'
import { startWorker } from '#app.ts'
import { startWorld } from '../world.ts'
import { ask, errands, jobRow, tenantOf } from './fixture.ts'
import { until } from './until.ts'

test('a worker that loses the database in its very first question runs jobs all the same', async () => {
  const world = await startWorld({ parts: ['api'] })
  const tenant = await tenantOf(world.api)
  const done: string[] = []
  const errand = errands(async ({ payload }) => void done.push(payload.name) as undefined)

  // Its first question waits for this lock, and is ended with its connection.
  const held = world.query(
    `begin; lock table graphile_worker._private_tasks in access exclusive mode; select pg_sleep(600)`,
  )
  held.catch(() => undefined)
  const waiting = `select pid from pg_locks where relation = 'graphile_worker._private_tasks'::regclass
    and not granted and database = (select oid from pg_database where datname = current_database())`
  await until(async () => {
    const rows = await world.query(
      `select from pg_locks where relation = 'graphile_worker._private_tasks'::regclass and granted`,
    )
    return rows.length > 0
  })
  const worker = startWorker(world.ctx, [errand])
  const killed = async () =>
    (await world.query(`select pg_terminate_backend(pid) from (${waiting}) as w`)).length > 0
  await until(killed)
  await world.query(
    `select pg_terminate_backend(pid) from pg_locks
      where relation = 'graphile_worker._private_tasks'::regclass and granted`,
  )

  const [id = ''] = await ask(world, tenant, ['after all'])
  await until(async () => (await jobRow(world, id)).status === 'SUCCEEDED', 30_000)
  expect(done).toEqual(['after all'])
  await worker.stop(1_000)
  await world.stop()
}, 90_000)
