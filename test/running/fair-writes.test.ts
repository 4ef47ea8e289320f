import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../jobs/until.ts'
import { type Api, startWorld, type World } from '../world.ts'

let world: World
let flood: Api
let quiet: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  ;[flood, quiet] = [await world.newTenant(), await world.newTenant()]
  await world.query(`
    create function test_sleep() returns trigger language plpgsql as
      $$ begin perform pg_sleep(3); return new; end $$;
    create trigger test_sleep before insert on client for each row
      when (new.name like 'Slow%') execute function test_sleep()`)
})
afterAll(() => world.stop())

test('a tenant whose writes are slow and many waits behind itself, and another does not wait at all', async () => {
  let done = 0
  const flooding = Array.from({ length: 40 }, async () => {
    const { status } = await flood.post('/api/v1/clients', { name: 'Slow', currency: 'EUR' })
    if (status === 201) done += 1
  })
  await until(() => world.ctx.db.turns.waiting() >= 20)
  const { status } = await quiet.post('/api/v1/clients', { name: 'Quick', currency: 'EUR' })
  expect(status).toBe(201)
  // Had it waited for its place in one line, some 25 would have been done before it began.
  expect(done).toBeLessThan(24)
  await Promise.all(flooding)
}, 60_000)
