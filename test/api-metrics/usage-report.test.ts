import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { makeHours } from '#api-metrics/hours.sql.ts'
import { makeUsageReport } from '#api-metrics/usage-report.task.ts'
import {
  addSlice,
  newSum,
  reportGroupsMax,
  slicesOf,
  toUsageReport,
} from '#api-metrics/usage-report.ts'
import { routes } from '#generated/routes.ts'
import type { UsageReport, UsageReportGrouping } from '#generated/types.ts'
import { systemCause } from '#http/operation.ts'
import { dayOf, type TenantId } from '#ids.ts'
import type { JobRun } from '#jobs/task.ts'
import { tenantOf } from '../db/fixture.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { recordCalls } from './fixture.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

let world: World
let api: Api
let tenant: TenantId
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())
beforeEach(async () => {
  api = await world.newTenant()
  tenant = await tenantOf(api)
})

const moment = (ms: number) => new Date(ms).toISOString()
const midnight = () => Math.floor(world.ctx.clock.now().getTime() / day) * day
const keys = [`key_${'0'.repeat(26)}`, `key_${'0'.repeat(25)}1`] as const

interface Asked {
  fromMs: number
  toMs: number
  groupBy?: UsageReportGrouping
  signal?: AbortSignal
  ctx?: World['ctx']
}

/** Runs the task as the runtime would; answers the report and what was said of its progress. */
async function report({ fromMs, toMs, groupBy = 'DAY', signal, ctx = world.ctx }: Asked) {
  const said: [number, number | undefined][] = []
  const run: JobRun = {
    ...{ tenantId: tenant, jobId: ctx.clock.newId('job'), attempt: 1 },
    payload: { from: moment(fromMs), to: moment(toMs), groupBy },
    cause: systemCause(ctx, 'test'),
    signal: signal ?? new AbortController().signal,
    progress: (done, total) => said.push([done, total]),
  }
  return { told: (await makeUsageReport.run(ctx, run)) as UsageReport, said }
}

/** Calls of five days, 24 a day: every other with the first key, each third failed. */
async function fiveDays(): Promise<number> {
  const startMs = midnight() - 5 * day
  await recordCalls(
    world,
    Array.from({ length: 120 }, (_, at) => ({
      ...{ tenantId: tenant, apiKeyId: keys[at % 2] ?? null },
      operation: at % 4 === 0 ? routes.listClients : routes.getMe,
      status: at % 3 === 0 ? 500 : 200,
      durationMs: 1 + at,
      finishedAtMs: startMs + at * hour + minute,
    })),
  )
  await world.query('update api_call_progress set rolled_until = null')
  await makeHours(world.ctx)
  return startMs
}

test('the days of a report add up to its whole, and each is what was called on it', async () => {
  const startMs = await fiveDays()
  const { told, said } = await report({ fromMs: startMs, toMs: startMs + 5 * day })
  expect(told.groups.map((group) => [group.day, group.figures.calls])).toEqual(
    [0, 1, 2, 3, 4].map((at) => [moment(startMs + at * day).slice(0, 10), 24]),
  )
  expect(told.calls).toMatchObject({ calls: 120, serverErrors: 40 })
  expect(told.calls.errorRate).toBeCloseTo(1 / 3)
  expect(told.calls.callsPerSecond).toBeCloseTo(24 / 86_400)
  expect(Math.abs((told.calls.p50Ms ?? 0) - 60)).toBeLessThanOrEqual(0.6)
  expect(Math.abs((told.calls.p99Ms ?? 0) - 119)).toBeLessThanOrEqual(1.2)
  expect([told.from, told.to]).toEqual([moment(startMs), moment(startMs + 5 * day)])
  expect(said).toEqual([0, 1, 2, 3, 4, 5].map((done) => [done, 5]))
})

test('by operation and by key days are added up, the busiest first', async () => {
  const startMs = await fiveDays()
  const span = { fromMs: startMs, toMs: startMs + 5 * day }
  const byOperation = (await report({ ...span, groupBy: 'OPERATION' })).told
  expect(byOperation.groups.map((one) => [one.operationId, one.figures.calls])).toEqual([
    ['getMe', 90],
    ['listClients', 30],
  ])
  const byKey = (await report({ ...span, groupBy: 'KEY' })).told
  const callsOf = new Map(byKey.groups.map((one) => [one.apiKeyId, one.figures.calls]))
  expect(callsOf).toEqual(new Map(keys.map((key) => [key, 60])))
  const none = (await report({ ...span, groupBy: 'NONE' })).told
  expect(none.groups).toEqual([])
  for (const told of [byOperation, byKey]) expect(told.calls).toEqual(none.calls)
})

test('events and deliveries are counted in the period alone, and of this tenant alone', async () => {
  const { ctx } = world
  const other = await tenantOf(await world.newTenant())
  world.step(midnight() + day + hour - ctx.clock.now().getTime())
  const startMs = midnight()
  for (const owner of [tenant, other]) {
    for (const status of ['DELIVERED', 'DELIVERED', 'EXHAUSTED', 'PENDING']) {
      const id = ctx.clock.newId('whd')
      await world.query(
        `insert into webhook_delivery (tenant_id, id, created_on, endpoint_id, event_id,
           event_created_on, event_type, status, attempt_count, created_at)
         values ($1, $2, $3, 'whe', 'evt', $3, 'client.created', $4, 0, $5)`,
        [owner, id, dayOf(id), status, ctx.clock.now()],
      )
    }
  }
  for (const name of ['Ada', 'Bob', 'Cyd']) {
    await api.post('/api/v1/clients', { name, currency: 'EUR' })
  }
  const deliveries = { deliveriesMade: 4, deliveriesDelivered: 2, deliveriesExhausted: 1 }
  const none = { deliveriesMade: 0, deliveriesDelivered: 0, deliveriesExhausted: 0 }
  const today = { fromMs: startMs, toMs: startMs + day }
  expect((await report(today)).told).toMatchObject({ eventsPublished: 3, ...deliveries })
  const later = { fromMs: startMs + 90 * minute, toMs: startMs + day }
  world.step(2 * hour)
  expect((await report(later)).told).toMatchObject({ eventsPublished: 0, ...none })
  const before = { fromMs: startMs - 2 * day, toMs: startMs + 30 * minute }
  expect((await report(before)).told).toMatchObject(none)
})

test('of what is to come a report says nothing, and does not pretend to have covered it', async () => {
  const nowMs = world.ctx.clock.now().getTime()
  const { told } = await report({ fromMs: nowMs + day, toMs: nowMs + 2 * day })
  expect(told).toMatchObject({ calls: { calls: 0 }, groups: [], eventsPublished: 0 })
  const half = (await report({ fromMs: nowMs - hour, toMs: nowMs + day })).told
  expect(Date.parse(half.to)).toBeLessThanOrEqual(world.ctx.clock.now().getTime())
})

test('a report that is broken off reads no further day', async () => {
  const stop = new AbortController()
  let reads = 0
  const { writers } = world.ctx.db
  const counted = {
    connect: () => {
      reads += 1
      if (reads === 2) stop.abort(new Error('cancelled'))
      return writers.connect()
    },
  } as typeof writers
  const ctx = { ...world.ctx, db: { ...world.ctx.db, writers: counted } }
  const fromMs = midnight() - 40 * day
  const asked = report({ fromMs, toMs: fromMs + 30 * day, signal: stop.signal, ctx })
  await expect(asked).rejects.toThrow('cancelled')
  expect(reads).toBe(2)
})

test('a report takes no shared reader, which others’ reads would wait behind', async () => {
  const refuse = () => {
    throw new Error('a shared reader was taken')
  }
  const readers = { ...world.ctx.db.readers, of: refuse, query: refuse }
  const ctx = { ...world.ctx, db: { ...world.ctx.db, readers } }
  const fromMs = midnight() - 3 * day
  expect((await report({ fromMs, toMs: fromMs + day, ctx })).told.calls.calls).toBe(0)
})

test('a period is cut at midnight, so that its pieces meet and none is longer than a day', () => {
  const at = (text: string) => Date.parse(`2026-02-${text}Z`)
  const payload = {
    from: '2026-02-01T10:30:00Z',
    to: '2026-02-03T01:00:00Z',
    groupBy: 'DAY' as const,
  }
  expect(slicesOf(payload, at('20T00:00:00'))).toEqual([
    { fromMs: at('01T10:30:00'), toMs: at('02T00:00:00') },
    { fromMs: at('02T00:00:00'), toMs: at('03T00:00:00') },
    { fromMs: at('03T00:00:00'), toMs: at('03T01:00:00') },
  ])
  expect(slicesOf(payload, at('02T00:00:00'))).toHaveLength(1)
  expect(slicesOf(payload, at('01T00:00:00'))).toEqual([])
})

test('a report of thousands of keys stays small, says how many it left out, and counts them', () => {
  const sums = {
    ...{ calls: 1, clientErrors: 0, serverErrors: 0, limitHits: 0 },
    ...{ requestBytes: 0, responseBytes: 0, sketch: new Map([[7, 1]]) },
  }
  const span = { fromMs: 0, toMs: day }
  const groups = Array.from({ length: 5_000 }, (_, at) => ({
    operationId: undefined,
    apiKeyId: `key_${String(at).padStart(26, '0')}`,
    startsAt: undefined,
    sums: { ...sums, calls: at },
  }))
  const deliveries = { made: 0, delivered: 0, exhausted: 0 }
  const sum = addSlice(newSum(), 'KEY', {
    ...{ asked: span, covered: span, groups, events: 0, deliveries },
  })
  const told = toUsageReport({ from: moment(0), to: moment(day), groupBy: 'KEY' }, sum)
  expect(told.groups).toHaveLength(reportGroupsMax)
  expect(told.groups[0]?.figures.calls).toBe(4_999)
  expect(told.groupsLeftOut).toBe(5_000 - reportGroupsMax)
  expect(told.calls.calls).toBe((5_000 * 4_999) / 2)
  expect(Buffer.byteLength(JSON.stringify(told))).toBeLessThan(64 * 1024)
})
