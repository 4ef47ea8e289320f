import { expect, test } from 'vitest'
import { startWorld } from '../world.ts'
import { startReceiver } from '../receiver.ts'

test('big fan-out', async () => {
  const world = await startWorld()
  const api = await world.newTenant()
  const other = await world.newTenant()
  const receiver = await startReceiver()
  for (let i = 0; i < 100; i += 1) {
  const e = await api.post('/api/v1/webhook-endpoints', { url: receiver.url, eventTypes: ['client.created'] })
  await api.patch('/api/v1/webhook-endpoints/'+e.body.id, {status: 'DISABLED'})
  }
  const eo = await other.post('/api/v1/webhook-endpoints', { url: receiver.url, eventTypes: ['client.created'] })
  await world.drain().catch(()=>{})
  let n = 0
  const t0 = performance.now()
  let last = 0
  const watch = setInterval(async () => {
    const [r] = await world.query<any>(`select count(*) n, (select count(*) from event_pending) p from delivery_due`)
    console.log(Math.round(performance.now()-t0), r)
  }, 500)
  await world.query(`with e as (insert into event (tenant_id,id,created_on,type,version,occurred_at,correlation_id,body) select tenant_id, 'evt_'||to_char(i,'FM00000000'), created_on, 'client.created', 1, now(), 'x', body from event, generate_series(1,2000) i where type='client.created' or id = (select id from event where type='webhook_endpoint.disabled' limit 1) returning *) insert into event_pending select tenant_id, id, created_on, type, null from e`).catch(e=>console.log(e))
  for (let i = 0; i < 20; i += 1) {
    const t = performance.now()
    const before = receiver.requests.length
    await other.post('/api/v1/clients', { name: 'x', currency: 'EUR' })
    await receiver.received(before + 1)
    console.log('other latency', performance.now() - t)
    await new Promise(r => setTimeout(r, 200))
  }
  clearInterval(watch)
  await receiver.stop()
  await world.stop()
}, 120_000)
