import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeHours } from '#api-metrics/hours.sql.ts'
import { routes } from '#generated/routes.ts'
import { type TenantId, tenantId } from '#ids.ts'
import { pruneCallHours, pruneCallMinutes } from '../../src/retention/figures.sql.ts'
import { until } from '../jobs/until.ts'
import { rowOf } from '../request-log/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { exactly, recordCalls } from './fixture.ts'

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

async function newTenant(): Promise<void> {
  api = await world.newTenant()
  tenant = tenantId((await api.get('/api/v1/me')).body.tenant.id)
}

const metrics = async (query = '') => {
  const reply = await api.get(`/api/v1/api-metrics?${query}`)
  expect(reply.status, JSON.stringify(reply.body)).toBe(200)
  return reply.body
}

const keyId: `key_${string}` = `key_${'0'.repeat(25)}1`

const moment = (ms: number) => new Date(ms).toISOString()

test('the figures are those of the very calls that were made, over all processes', async () => {
  await newTenant()
  const from = moment(Date.now() - minute)
  const replies = []
  for (let at = 0; at < 40; at += 1) {
    replies.push(await api.get('/api/v1/clients'))
    if (at % 4 === 0) replies.push(await api.post('/api/v1/clients', { name: at }))
  }
  await rowOf(world, replies.at(-1) ?? new Response())
  const rows = await world.query(
    "select * from request_log where tenant_id = $1 and operation_id like '%Client%'",
    [tenant],
  )
  expect(rows).toHaveLength(replies.length)
  const of = (operation: string) => rows.filter((row) => row.operation_id === operation)
  let groups: Map<string, ReturnType<typeof Object>> = new Map()
  await until(async () => {
    const { groups: told } = await metrics(`groupBy=OPERATION&from=${from}`)
    groups = new Map(told.map((group: { operationId: string }) => [group.operationId, group]))
    return groups.get('createClient')?.figures.calls === 10
  })
  for (const operation of ['listClients', 'createClient']) {
    const own = of(operation)
    const { figures } = groups.get(operation)
    const sum = (column: string) => own.reduce((total, row) => total + row[column], 0)
    expect(figures).toMatchObject({
      calls: own.length,
      clientErrors: own.filter(({ status }) => status === 400).length,
      serverErrors: 0,
      limitHits: 0,
      errorRate: 0,
      requestBytes: sum('request_bytes'),
      responseBytes: sum('response_bytes'),
    })
    const times = own.map((row) => row.duration_ms)
    for (const [name, share] of [
      ['p50Ms', 0.5],
      ['p95Ms', 0.95],
      ['p99Ms', 0.99],
    ] as const) {
      const exact = exactly(times, share)
      expect(Math.abs(figures[name] - exact)).toBeLessThanOrEqual(exact * 0.01 + 1e-9)
    }
  }
})

test('what several processes answered adds up, and one that writes twice counts once', async () => {
  await newTenant()
  const finishedAtMs = Date.now()
  const times = Array.from({ length: 500 }, (_, at) => ((at * 7919) % 500) + 0.5)
  const own = { tenantId: tenant, apiKeyId: keyId, finishedAtMs }
  const calls = times.map((durationMs) => ({ ...own, operation: routes.getMe, durationMs }))
  await recordCalls(world, calls.slice(0, 100))
  await recordCalls(world, calls.slice(100))
  const { total } = await metrics(`apiKeyId=key_${'0'.repeat(26)}`)
  expect(total).toMatchObject({ calls: 0, p95Ms: null, errorRate: null })
  const { groups } = await metrics('groupBy=KEY')
  expect(groups[0]).toMatchObject({ apiKeyId: keyId, operationId: null, startsAt: null })
  const { figures } = groups[0]
  expect(figures.calls).toBe(500)
  expect(Math.abs(figures.p99Ms - exactly(times, 0.99))).toBeLessThan(5)
  expect(Math.abs(figures.p50Ms - exactly(times, 0.5))).toBeLessThan(2.6)
})

test('by minute and by hour the parts are what they should be and add up to the whole', async () => {
  await newTenant()
  const nowMs = Math.floor(Date.now() / hour) * hour - 30 * minute
  const calls = Array.from({ length: 120 }, (_, at) => ({
    tenantId: tenant,
    apiKeyId: keyId,
    operation: routes.getMe,
    status: at % 10 === 0 ? 500 : 200,
    finishedAtMs: nowMs - at * minute,
  }))
  await recordCalls(world, calls)
  const range = `from=${moment(nowMs - 150 * minute)}&to=${moment(nowMs + minute)}`
  const byMinute = await metrics(`groupBy=MINUTE&${range}`)
  expect(byMinute.groups).toHaveLength(120)
  const starts = byMinute.groups.map(({ startsAt }: { startsAt: string }) => startsAt)
  expect(starts).toEqual(starts.toSorted())
  expect(byMinute.groups[0].figures.callsPerSecond).toBeCloseTo(1 / 60)
  expect(byMinute.total).toMatchObject({ calls: 120, serverErrors: 12, errorRate: 0.1 })
  const byHour = await metrics(`groupBy=HOUR&${range}`)
  expect(byHour.groups.map((group: { figures: { calls: number } }) => group.figures.calls)).toEqual(
    [29, 60, 31],
  )
  const filtered = await metrics(`${range}&operationId=getClient`)
  expect(filtered.total.calls).toBe(0)
})

test('hours made of minutes say the same of everything, and the minutes can go', async () => {
  await newTenant()
  const startMs = Math.floor(Date.now() / hour) * hour - 6 * hour
  const calls = Array.from({ length: 300 }, (_, at) => ({
    tenantId: tenant,
    apiKeyId: at % 3 === 0 ? keyId : null,
    operation: at % 2 === 0 ? routes.getMe : routes.listClients,
    durationMs: 1 + ((at * 31) % 300),
    finishedAtMs: startMs + at * minute,
    requestBytes: at,
  }))
  await recordCalls(world, calls)
  await recordCalls(world, calls)
  const range = `from=${moment(startMs)}&to=${moment(startMs + 5 * hour)}`
  const questions = [
    ...['NONE', 'HOUR', 'OPERATION', 'KEY'].map((groupBy) => `groupBy=${groupBy}`),
    'operationId=getMe',
    `apiKeyId=${keyId}`,
    `groupBy=KEY&operationId=getMe`,
    `groupBy=HOUR&operationId=getMe&apiKeyId=${keyId}`,
  ]
  const answers = () => Promise.all(questions.map((question) => metrics(`${range}&${question}`)))
  const before = await answers()
  expect(before.map(({ total }) => total.calls)).toEqual([600, 600, 600, 600, 300, 200, 300, 100])

  await world.query('update api_call_progress set rolled_until = null')
  await makeHours(world.ctx)
  expect(await answers()).toEqual(before)
  // Two workers at once, and once more: nothing is counted twice.
  await world.query("update api_call_progress set rolled_until = rolled_until - interval '4 hours'")
  await Promise.all([makeHours(world.ctx), makeHours(world.ctx)])
  await makeHours(world.ctx)
  expect(await answers()).toEqual(before)

  const now = () => new Date(Date.now() + 2 * day)
  const later = { ...world.ctx, clock: { ...world.ctx.clock, now } }
  await pruneCallMinutes(later)
  const left = await world.query(
    'select from api_call_minute where tenant_id = $1 and minute < $2',
    [tenant, new Date(startMs + 5 * hour)],
  )
  expect(left).toEqual([])
  await pruneCallHours(later)
  expect(await answers()).toEqual(before)
})

test('minutes that no worker has made an hour of are kept, however old, and are counted', async () => {
  await newTenant()
  await world.query('update api_call_progress set rolled_until = null')
  const finishedAtMs = Date.now() - 4 * day
  const own = { tenantId: tenant, apiKeyId: keyId, operation: routes.getMe }
  await recordCalls(world, [{ ...own, finishedAtMs }])
  await pruneCallMinutes(world.ctx)
  const query = `apiKeyId=${keyId}&from=${moment(finishedAtMs - day)}`
  expect((await metrics(query)).total.calls).toBe(1)
  await makeHours(world.ctx)
  await pruneCallMinutes(world.ctx)
  expect((await metrics(query)).total.calls).toBe(1)
})

test('what came in late for an hour that was made already is counted with the next', async () => {
  await newTenant()
  const startMs = Math.floor(Date.now() / hour) * hour - 3 * hour
  const own = { tenantId: tenant, apiKeyId: keyId, operation: routes.getMe }
  await world.query('update api_call_progress set rolled_until = $1', [new Date(startMs + hour)])
  await recordCalls(world, [{ ...own, finishedAtMs: startMs }])
  await makeHours(world.ctx)
  const query = `from=${moment(startMs)}&to=${moment(startMs + hour)}`
  expect((await metrics(query)).total.calls).toBe(1)
})

test('what cannot be covered is refused, and says why', async () => {
  await newTenant()
  const nowMs = Date.now()
  const refused = async (query: string) =>
    refusedWith(await api.get(`/api/v1/api-metrics?${query}`), 'invalid_request').detail
  expect(await refused(`from=${moment(nowMs)}&to=${moment(nowMs - hour)}`)).toMatch('before `to`')
  expect(await refused(`from=${moment(nowMs + hour)}`)).toMatch('in the past')
  expect(await refused(`from=${moment(nowMs - 32 * day)}`)).toMatch('31 days')
  expect(await refused(`groupBy=MINUTE&from=${moment(nowMs - 25 * hour)}`)).toMatch('24 hours')
  const old = `from=${moment(nowMs - 60 * hour)}&to=${moment(nowMs - 50 * hour)}`
  expect(await refused(`groupBy=MINUTE&${old}`)).toMatch('47 hours')
  expect((await metrics(`from=${moment(nowMs - 31 * day + minute)}`)).groups).toEqual([])
})

test('no tenant is in the figures of another', async () => {
  await newTenant()
  const own = { tenantId: tenant, apiKeyId: keyId, finishedAtMs: Date.now() }
  await recordCalls(world, [{ ...own, operation: routes.getMe }])
  await newTenant()
  expect(
    (await metrics('groupBy=KEY')).groups.map((group: { apiKeyId: string }) => group.apiKeyId),
  ).not.toContain('key_x')
})
