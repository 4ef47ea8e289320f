import { afterAll, beforeAll, expect, test } from 'vitest'
import { firstIdAt, timeOf } from '#ids.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

interface Log {
  id: string
  operationId: string
  status: number
  correlationId: string
  occurredAt: string
}

const list = async (query: string, caller = api): Promise<Log[]> => {
  const { status, body } = await caller.get(`/api/v1/request-logs?limit=200&${query}`)
  expect(status).toBe(200)
  return body.data
}

test('filters find exactly the calls that fit, and any of them together', async () => {
  const { body: key } = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['clients:read'] })
  const reader = world.callsWith(key.key)
  const name = { 'x-correlation-id': 'journey-1' }
  await reader.get('/api/v1/clients', name)
  await reader.get('/api/v1/clients?none=1', name)
  await reader.get('/api/v1/proposals', name)
  await api.get('/api/v1/clients?none=1')
  await until(async () => (await list('correlationId=journey-1')).length === 3)

  const told = async (query: string) =>
    (await list(query)).map(({ operationId, status }) => `${operationId} ${status}`)
  expect(await told('correlationId=journey-1')).toEqual([
    'listProposals 403',
    'listClients 400',
    'listClients 200',
  ])
  expect(await told(`apiKeyId=${key.id}&sort=occurredAt`)).toEqual([
    'listClients 200',
    'listClients 400',
    'listProposals 403',
  ])
  await until(async () => (await told('operationId=listClients')).length === 3)
  expect(await told('operationId=listClients&status=400')).toHaveLength(2)
  expect(await told(`status=400&apiKeyId=${key.id}`)).toEqual(['listClients 400'])
  expect(await told('statusClass=CLIENT_ERROR')).toHaveLength(3)
  expect(await told('statusClass=SERVER_ERROR')).toEqual([])
  expect(await told(`statusClass=SUCCESS&apiKeyId=${key.id}`)).toEqual(['listClients 200'])
  expect(await told('status=403&statusClass=SUCCESS')).toEqual([])
})

test('times bound a list from a moment on and up to another, to the millisecond', async () => {
  const rows = await list('sort=occurredAt')
  const middle = rows[Math.floor(rows.length / 2)]?.occurredAt ?? ''
  const ids = (logs: Log[]) => logs.map(({ id }) => id)
  const since = await list(
    `sort=occurredAt&occurredAfter=${middle}&occurredBefore=2199-01-01T00:00:00Z`,
  )
  const earlier = await list(`sort=occurredAt&occurredBefore=${middle}`)
  const known = new Set(ids(rows))
  expect([...ids(earlier), ...ids(since).filter((id) => known.has(id))]).toEqual(ids(rows))
  expect(since.every(({ occurredAt }) => occurredAt >= middle)).toBe(true)
  expect(earlier.every(({ occurredAt }) => occurredAt < middle)).toBe(true)
  expect(await list('occurredBefore=1950-01-01T00:00:00Z')).toEqual([])
})

test('the first id of a moment is not behind any other of that moment', () => {
  const id = world.ctx.clock.newId('req')
  expect(firstIdAt('req', timeOf(id)) <= id).toBe(true)
  expect(firstIdAt('req', timeOf(id) + 1) > id).toBe(true)
  expect(timeOf(firstIdAt('req', 1_234_567_890_123))).toBe(1_234_567_890_123)
})

test('pages neither skip nor repeat a call, in either order', async () => {
  // Of what was written already the newest: nothing older is still to come.
  const before = (await list(''))[0]?.occurredAt
  const all = await list(`occurredBefore=${before}`)
  expect(all.length).toBeGreaterThan(5)
  for (const sort of ['-occurredAt', 'occurredAt']) {
    const seen: string[] = []
    let cursor = ''
    do {
      const path = `/api/v1/request-logs?limit=2&sort=${sort}&occurredBefore=${before}${cursor}`
      const { body } = await api.get(path)
      seen.push(...body.data.map(({ id }: Log) => id))
      cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
    } while (cursor !== '')
    const expected = all.map(({ id }) => id)
    expect(seen).toEqual(sort === 'occurredAt' ? expected.reverse() : expected)
  }
})

test('no other tenant sees a call, and none without the scope', async () => {
  const [log] = await list('')
  const other = await world.newTenant()
  expect(await list(`correlationId=${log?.correlationId}`, other)).toEqual([])
  refusedWith(await other.get(`/api/v1/request-logs/${log?.id}`), 'not_found')
  expect((await api.get(`/api/v1/request-logs/${log?.id}`)).body).toMatchObject({ ...log })
  const { body } = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['clients:read'] })
  const unscoped = world.callsWith(body.key)
  refusedWith(await unscoped.get('/api/v1/request-logs'), 'insufficient_scope')
  refusedWith(await unscoped.get('/api/v1/api-metrics'), 'insufficient_scope')
})

test('every filter is answered from an index, however long the log is', async () => {
  await world.query(`
    insert into request_log (tenant_id, id, created_on, occurred_at, operation_id, method, path,
      status, duration_ms, api_key_id, request_bytes, response_bytes, is_limited, is_replay,
      correlation_id, left_out_before)
    select 'ten_00000000000000000000000009', 'req_' || lpad(at::text, 26, '0'), current_date, now(),
      'op' || at % 50, 'GET', '/', case at % 500 when 0 then 500 else 200 end, 1,
      'key' || at % 50, 0, 0, false, false, 'c' || at, 0
    from generate_series(1, 20000) as at`)
  await world.query('analyze request_log')
  const plan = async (filter: string) => {
    const rows = await world.query<{ 'QUERY PLAN': string }>(
      `explain select id from request_log where tenant_id = 'ten_00000000000000000000000009'
          and ${filter} order by id desc limit 51`,
    )
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  }
  for (const [filter, index] of [
    ["operation_id = 'op7'", 'operation_id_id_idx'],
    ["api_key_id = 'key7'", 'api_key_id_id_idx'],
    ["correlation_id = 'c7'", 'correlation_id_id_idx'],
    ['status / 100 = 5 and status >= 400', 'expr_id_idx'],
    ['true', 'pkey'],
  ]) {
    const text = await plan(String(filter))
    const day = new Date().toISOString().slice(0, 10).replaceAll('-', '')
    const [used] = text.split('\n').filter((line) => line.includes(`request_log_${day}`))
    expect(used, text).toContain(index)
  }
})
