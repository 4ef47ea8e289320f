import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { anchorAudit } from '#audit/anchor.task.ts'
import { dropOldDays } from '#retention/days.sql.ts'
import { prunePositions } from '#retention/prune.sql.ts'
import { sweepOldRows } from '#retention/sweep.task.ts'
import { chainAll, verify } from '../audit/fixture.ts'
import { connectAs, databaseUrlOf } from '../db/fixture.ts'
import { readFeed } from '../events/fixture.ts'
import { anEndpoint, anotherWorker, createClients } from '../webhooks/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import {
  anOldCall,
  anOldDelivery,
  anOldEntry,
  anOldEvent,
  countOf,
  dayAgo,
  hasDay,
  makeDay,
} from './fixture.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

const nowhere = 'http://127.0.0.1:1099/hook'

test('days go once they are older than their table keeps rows, and not a day before', async () => {
  const kept = {
    ...{ event: 90, webhook_delivery: 30, attempt: 30, request_log: 30, audit: 400 },
    inbound_receipt: 90,
  }
  for (const days of Object.values(kept)) {
    await makeDay(world, days)
    await makeDay(world, days + 1)
  }
  await dropOldDays(world.ctx)
  for (const [table, days] of Object.entries(kept)) {
    expect(await hasDay(world, table, days), `${table}, day ${days}`).toBe(true)
    expect(await hasDay(world, table, days + 1), `${table}, day ${days + 1}`).toBe(false)
    expect(await hasDay(world, table, 0), `${table}, today`).toBe(true)
  }
})

test('what was asked of a dropped day is not found, and lists go on without it', async () => {
  const { id: endpointId } = await anEndpoint(api, nowhere)
  const eventId = await anOldEvent(world, api, 40)
  const old = await anOldDelivery(world, api, 40, { endpointId, eventId })
  const young = await anOldDelivery(world, api, 20, { endpointId, eventId, eventDays: 40 })
  const call = await anOldCall(world, api, 40)
  await dropOldDays(world.ctx)

  refusedWith(await api.get(`/api/v1/webhook-deliveries/${old}`), 'not_found')
  refusedWith(await api.get(`/api/v1/webhook-deliveries/${old}/attempts`), 'not_found')
  refusedWith(await api.get(`/api/v1/request-logs/${call}`), 'not_found')
  const { body } = await api.get(`/api/v1/webhook-deliveries?endpointId=${endpointId}`)
  expect(body.data.map(({ id }: { id: string }) => id)).toEqual([young])
  expect((await api.get(`/api/v1/webhook-deliveries/${young}/attempts`)).body.data).toHaveLength(1)
  expect((await api.get(`/api/v1/events/${eventId}`)).status).toBe(200)
})

test('a day with an event that somebody is still to be told of waits until that is done', async () => {
  const { id: endpointId } = await anEndpoint(api, nowhere)
  const eventId = await anOldEvent(world, api, 95)
  await anOldDelivery(world, api, 2, { endpointId, eventId, eventDays: 95, isDue: true })
  const sequenced = await anOldEvent(world, api, 96)
  await world.query(
    `insert into event_pending (tenant_id, event_id, created_on, type)
     select tenant_id, id, created_on, type from event where id = $1`,
    [sequenced],
  )
  await dropOldDays(world.ctx)
  expect(await hasDay(world, 'event', 95)).toBe(true)
  expect(await hasDay(world, 'event', 96)).toBe(true)

  await world.query('delete from delivery_due')
  await world.query('delete from event_pending where event_id = $1', [sequenced])
  await dropOldDays(world.ctx)
  expect(await hasDay(world, 'event', 95)).toBe(false)
  expect(await hasDay(world, 'event', 96)).toBe(false)
})

test('a day of deliveries is not dropped under one that is on its way', async () => {
  const { id: endpointId } = await anEndpoint(api, nowhere)
  const eventId = await anOldEvent(world, api, 33)
  await anOldDelivery(world, api, 33, { endpointId, eventId, isDue: true })
  await world.query(
    `update delivery_due set lease_token = '1.x', leased_until = now() + interval '1 minute'`,
  )
  await sweepOldRows(world.ctx)
  expect(await hasDay(world, 'webhook_delivery', 33)).toBe(true)
  expect(await hasDay(world, 'attempt', 33)).toBe(true)
  await world.query('delete from delivery_due')
})

test('the audit is whole after its oldest days were dropped, and what is not chained stays', async () => {
  await anOldEntry(world, api, 403)
  await anOldEntry(world, api, 402)
  await chainAll(world)
  await anchorAudit(world.ctx)
  await anOldEntry(world, api, 404)
  await dropOldDays(world.ctx)
  expect(await hasDay(world, 'audit', 402)).toBe(false)
  expect(await hasDay(world, 'audit', 403)).toBe(false)
  expect(await hasDay(world, 'audit', 404), 'not chained yet').toBe(true)

  await chainAll(world)
  await dropOldDays(world.ctx)
  expect(await hasDay(world, 'audit', 404)).toBe(false)
  const { damages, counted } = await verify(world)
  expect(damages).toEqual([])
  expect(counted.dropped).toBe(3)
})

test('a process cannot drop or clear a day that is to be kept, whatever it takes the time to be', async () => {
  await makeDay(world, 399)
  const worker = await connectAs(databaseUrlOf(world), 'ubos_worker')
  for (const statement of [
    `select ubos_drop_partition('audit', '${dayAgo(399)}')`,
    `select ubos_clear_partition('audit', '${dayAgo(399)}', '{}', 10)`,
    `select ubos_drop_partition('event', '${dayAgo(0)}')`,
    `select ubos_drop_partition('client', '${dayAgo(900)}')`,
  ]) {
    const refusal = await worker.query(statement).catch((error: pg.DatabaseError) => error)
    expect(refusal, statement).toBeInstanceOf(pg.DatabaseError)
    expect((refusal as pg.DatabaseError).code).toBe('42501')
  }
  await worker.end()
  const caller = await connectAs(databaseUrlOf(world), 'ubos_api')
  const refusal = await caller
    .query(`select ubos_drop_partition('audit', '${dayAgo(500)}')`)
    .catch((error: pg.DatabaseError) => error)
  expect((refusal as pg.DatabaseError).code).toBe('42501')
  await caller.end()

  world.step(1_000 * 24 * 60 * 60 * 1_000)
  await dropOldDays(world.ctx)
  world.step(-1_000 * 24 * 60 * 60 * 1_000)
  expect(await hasDay(world, 'audit', 399)).toBe(true)
})

test('while somebody writes, a day that is too old keeps nobody waiting, and goes afterwards', async () => {
  await makeDay(world, 50)
  const writer = new pg.Client({ connectionString: databaseUrlOf(world) })
  await writer.connect()
  await writer.query('set role ubos_worker')
  await writer.query('begin')
  await writer.query('lock table only attempt in row exclusive mode')
  const worker = await connectAs(databaseUrlOf(world), 'ubos_worker')
  const refusal = await worker
    .query(`select ubos_drop_partition('attempt', '${dayAgo(50)}')`)
    .catch((error: pg.DatabaseError) => error)
  expect((refusal as pg.DatabaseError).code, 'it gives up').toBe('55P03')

  // It tries again, and the one who writes ends before it has tried for the last time.
  const dropping = dropOldDays(world.ctx)
  await writer.query('commit')
  await dropping
  expect(await hasDay(world, 'attempt', 50)).toBe(false)
  await Promise.all([worker.end(), writer.end()])
})

test('a feed begins at the oldest event that is left, also for whoever was away for months', async () => {
  const reader = await world.newTenant()
  for (let count = 0; count < 3; count += 1) await anOldEvent(world, reader, 98)
  const ofClients = '&limit=50&eventType=client.created'
  const { cursor } = await readFeed(reader, '', ofClients)
  const first = await reader.get('/api/v1/events?sort=position&limit=1&eventType=client.created')
  expect(first.body.data).toHaveLength(1)
  // More places than one page looks through, all of them gone.
  await world.query(
    `insert into event_position (tenant_id, position, event_id, created_on, type)
     select place.tenant_id, 3 + n, place.event_id || lpad(n::text, 6, '0'), created_on, type
     from event_position as place, generate_series(1, 10100) as n where event_id = $1`,
    [first.body.data[0].id],
  )
  await world.query(
    `update stream_head set position = 10103 where tenant_id = (
       select tenant_id from event_position where event_id = $1)`,
    [first.body.data[0].id],
  )
  await dropOldDays(world.ctx)
  await prunePositions(world.ctx)
  expect(await countOf(world, 'event_position', reader, 98)).toBe(0)
  expect((await readFeed(reader, cursor, ofClients)).events).toEqual([])

  await createClients(reader, 2)
  const worker = anotherWorker(world)
  await world.drain()
  await worker.stop()
  for (const from of [cursor, first.body.nextCursor, '']) {
    const { events } = await readFeed(reader, from, ofClients)
    expect(events.map(({ position }) => position > 10_103)).toEqual([true, true])
  }
})

test('places of events that are still there are kept', async () => {
  const reader = await world.newTenant()
  const id = await anOldEvent(world, reader, 89)
  const older = await anOldEvent(world, reader, 94)
  await prunePositions(world.ctx)
  expect((await readFeed(reader)).events.map((event) => event.id)).toEqual(
    expect.arrayContaining([id, older]),
  )
})

test('a lookup by id touches the partition of its day and no other, however many days there are', async () => {
  for (const days of [5, 6, 7, 8]) await makeDay(world, days)
  const plan = await world.query<{ 'QUERY PLAN': string }>(
    `explain select * from attempt where tenant_id = 't' and delivery_id = 'd' and created_on = '${dayAgo(7)}'`,
  )
  const lines = plan.map((row) => row['QUERY PLAN']).join('\n')
  expect(lines.match(/attempt_\d{8}/g)).toEqual(
    expect.arrayContaining([`attempt_${dayAgo(7).replaceAll('-', '')}`]),
  )
  expect(new Set(lines.match(/ on attempt_\d{8}/g)).size).toBe(1)
})
