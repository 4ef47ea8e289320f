import { expect, test } from 'vitest'
import { startWorld } from '../world.ts'
import { startReceiver } from '../receiver.ts'

test('terminated', async () => {
  const world = await startWorld()
  for (const pool of [world.ctx.db.worker, world.ctx.db.writers]) pool.on('connect', (c) => c.on('error', () => undefined))
  const api = await world.newTenant()
  const receiver = await startReceiver()
  await api.post('/api/v1/webhook-endpoints', { url: receiver.url, eventTypes: ['client.created'] })
  let n = 0
  let isDone = false
  const killer = (async () => {
    while (!isDone) {
      await world.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'ubos_worker'`)
      await new Promise((r) => setTimeout(r, 25))
    }
  })()
  for (let i = 0; i < 100; i += 1) {
    const r = await api.post('/api/v1/clients', { name: 'x', currency: 'EUR' })
    if (r.status === 201) n += 1
    else console.log(r.status, r.body)
  }
  isDone = true
  await killer
  await world.drain()
  console.log(n, receiver.requests.length, new Set(receiver.requests.map((r) => r.headers['webhook-id'])).size)
  expect(1).toBe(1)
  await receiver.stop()
  await world.stop()
}, 60_000)
