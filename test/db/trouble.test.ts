import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

/* What somebody at the database's prompt can do to callers: locks that are held for long. */

let world: World
let api: Api
let intruder: pg.Client
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = world.api
  const { pathname } = new URL(world.ctx.db.url)
  intruder = new pg.Client(Object.assign(new URL(inject('ownerUrl')), { pathname }).href)
  await intruder.connect()
})
afterAll(async () => {
  await intruder.end()
  await world.stop()
})

const create = (name: string) => api.post('/api/v1/clients', { name, currency: 'EUR' })

async function timed<Answer>(call: Promise<Answer>): Promise<{ answer: Answer; ms: number }> {
  const startMs = performance.now()
  const answer = await call
  return { answer, ms: performance.now() - startMs }
}

test('a write of a row that somebody holds is told within seconds to come back, changes nothing, and is done when it does', async () => {
  const [held, free] = [(await create('Held')).body, (await create('Free')).body]
  await intruder.query('begin')
  await intruder.query('select from client where id = $1 for update', [held.id])
  const rename = (id: string) =>
    api.patch(
      `/api/v1/clients/${id}`,
      { name: 'Renamed' },
      { 'if-match': '"1"', 'idempotency-key': `rename-${id}` },
    )
  const [slow, quick] = await Promise.all([timed(rename(held.id)), timed(rename(free.id))])
  refusedWith(slow.answer, 'unavailable')
  expect(slow.answer.headers.get('retry-after')).toBe('1')
  expect(slow.ms).toBeLessThan(6_000)
  expect(quick.answer.status).toBe(200)
  expect(quick.ms, 'beside it').toBeLessThan(slow.ms)
  expect((await api.get(`/api/v1/clients/${held.id}`)).body).toEqual(held)

  await intruder.query('rollback')
  expect((await rename(held.id)).body).toMatchObject({ name: 'Renamed', revision: 2 })
  const events = (await api.get('/api/v1/events?eventType=client.updated')).body.data
  expect(events.filter(({ data }: { data: { id: string } }) => data.id === held.id)).toHaveLength(1)
})

test('a refusal under a key that cannot be looked up is not told, since the call may have been done before', async () => {
  const { body: client } = await create('Once')
  const { body: proposal } = await api.post('/api/v1/proposals', {
    ...{ clientId: client.id, title: 'Engine', currency: 'EUR' },
    lines: [{ description: 'Design', quantity: 1, unitAmount: 5 }],
  })
  const path = `/api/v1/proposals/${proposal.id}/submission`
  const submit = () => api.post(path, undefined, { 'idempotency-key': 'submit-once' })
  const first = await submit()
  expect(first.status).toBe(200)
  await intruder.query('begin')
  await intruder.query('lock table idempotency in access exclusive mode')
  // The proposal is sent by now, which refuses a second submission.
  refusedWith(await submit(), 'unavailable')
  await intruder.query('rollback')
  const again = await submit()
  expect(again.body).toEqual(first.body)
  expect(again.headers.get('idempotent-replayed')).toBe('true')
  refusedWith(await api.post(path), 'invalid_state')
})

test('reads of a table that somebody has locked are told within seconds to come back, and other tables are read', async () => {
  const { body: client } = await create('Ada')
  const path = `/api/v1/clients/${client.id}`
  await intruder.query('begin')
  await intruder.query('lock table client in access exclusive mode')
  const [slow, quick] = await Promise.all([
    timed(api.get(path)),
    timed(api.get('/api/v1/invoices')),
  ])
  refusedWith(slow.answer, 'unavailable')
  expect(slow.answer.headers.get('retry-after')).toBe('1')
  expect(slow.ms).toBeLessThan(8_000)
  expect(quick.answer.status).toBe(200)
  await intruder.query('rollback')
  expect((await api.get(path)).body).toEqual(client)
})
