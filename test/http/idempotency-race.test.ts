import { afterAll, beforeAll, expect, test } from 'vitest'
import { tenantOf, until } from '../db/fixture.ts'
import { type Reply, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const under = (key: string) => ({ 'idempotency-key': key })

/** How many rows, events, audit entries and kept answers there are of a tenant’s payments. */
async function effects(tenant: string) {
  const [found] = await world.query(
    `select (select count(*)::int from payment where tenant_id = $1) as payments,
      (select count(*)::int from event where tenant_id = $1 and type = 'payment.received') as events,
      (select count(*)::int from event_pending where tenant_id = $1 and type = 'payment.received') as pending,
      (select count(*)::int from audit where tenant_id = $1 and action = 'payment.received') as audits,
      (select count(*)::int from idempotency where tenant_id = $1) as replies`,
    [tenant],
  )
  return found
}
const one = { payments: 1, events: 1, pending: 1, audits: 1, replies: 1 }

const isInProgress = ({ status, body }: Reply) =>
  status === 409 && body.code === 'idempotency_in_progress'

test('of 200 who race under one key one takes effect; the others get its answer or are told to wait', async () => {
  const api = await world.newTenant()
  const pay = () => api.post('/api/v1/payments', { amount: 10, currency: 'EUR' }, under('race'))
  const replies = await Promise.all(Array.from({ length: 200 }, pay))
  const answered = replies.filter(({ status }) => status === 201)
  const waiting = replies.filter(isInProgress)
  expect(answered.length + waiting.length).toBe(200)
  expect(answered.length).toBeGreaterThan(0)
  const originals = answered.filter(({ headers }) => headers.get('idempotent-replayed') === null)
  expect(originals).toHaveLength(1)
  expect(new Set(answered.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  expect(await effects(await tenantOf(api))).toEqual(one)

  for (let again = 0; again < 5; again += 1) {
    const reply = await pay()
    expect(reply.body).toEqual(originals[0]?.body)
    expect(reply.headers.get('idempotent-replayed')).toBe('true')
  }
  expect(await effects(await tenantOf(api))).toEqual(one)
})

test('of many requests that race under one key, all different, one takes effect', async () => {
  const api = await world.newTenant()
  const pay = (amount: number) =>
    api.post('/api/v1/payments', { amount, currency: 'EUR' }, under('mixed'))
  const replies = await Promise.all(Array.from({ length: 50 }, (_, at) => pay(at + 1)))
  const outcomes = replies.map(({ status, body }) => body.code ?? status)
  expect(outcomes.filter((outcome) => outcome === 201)).toHaveLength(1)
  const others = new Set(outcomes.filter((outcome) => outcome !== 201))
  for (const other of others) {
    expect(['idempotency_in_progress', 'idempotency_key_reused']).toContain(other)
  }
  expect(await effects(await tenantOf(api))).toEqual(one)
})

test('while a request is under way its repetition is told so at once, and afterwards is answered', async () => {
  await world.query(`
    create function test_slow() returns trigger language plpgsql as
      $$ begin perform pg_sleep(1); return new; end $$;
    create trigger test_slow before insert on payment for each row
      when (new.method = 'CASH') execute function test_slow()`)
  const api = await world.newTenant()
  const pay = () =>
    api.post('/api/v1/payments', { amount: 1, currency: 'EUR', method: 'CASH' }, under('slow'))
  const first = pay()
  await until(async () => {
    const rows = await world.query("select 1 from pg_stat_activity where wait_event = 'PgSleep'")
    return rows.length === 1
  })
  expect(isInProgress(await pay()), 'the first has not answered yet').toBe(true)
  const made = await first
  expect(made.status).toBe(201)
  const again = await pay()
  expect(again.body).toEqual(made.body)
  expect(again.headers.get('idempotent-replayed')).toBe('true')
  expect(await effects(await tenantOf(api))).toEqual(one)
})

test('many keys at once are many effects, and each key replays its own', async () => {
  const api = await world.newTenant()
  const pay = (at: number) =>
    api.post('/api/v1/payments', { amount: at + 1, currency: 'EUR' }, under(`key-${at}`))
  const all = () => Promise.all(Array.from({ length: 40 }, (_, at) => pay(at)))
  const [first, second] = [await all(), await all()]
  expect(first.map(({ status }) => status)).toEqual(Array(40).fill(201))
  expect(second.map(({ body }) => body)).toEqual(first.map(({ body }) => body))
  expect((await effects(await tenantOf(api)))?.payments).toBe(40)
})
