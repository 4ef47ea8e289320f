import { afterAll, beforeAll, expect, test } from 'vitest'
import { tenantId } from '#ids.ts'
import { runRequestLog } from '#request-log/writer.ts'
import { eraseBodies } from '../../src/retention/figures.sql.ts'
import { stoppedClock } from '../http/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aCall, rowOf, setPolicy } from './fixture.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

const policyPath = '/api/v1/request-log-policy'
const aClient = { name: 'Ada', currency: 'EUR' }

test('nobody who did not ask for it has bodies in our log', async () => {
  const other = await world.newTenant()
  expect((await other.get(policyPath)).body).toEqual({
    keepBodies: 'NONE',
    retentionDays: 30,
    updatedAt: null,
  })
  const rows = [
    await rowOf(world, await other.post('/api/v1/clients', aClient)),
    await rowOf(world, await other.post('/api/v1/clients', { name: 1 })),
  ]
  expect(rows.map((row) => [row.request_body, row.response_body])).toEqual([
    [null, null],
    [null, null],
  ])
})

test('a change of policy says what changed, is audited, and reaches the running processes', async () => {
  const changed = await api.patch(policyPath, { keepBodies: 'ERRORS', retentionDays: 7 })
  expect(changed).toMatchObject({ status: 200, body: { keepBodies: 'ERRORS', retentionDays: 7 } })
  expect((await api.get(policyPath)).body).toEqual(changed.body)
  const [entry] = await world.query(
    "select before, after from audit where action = 'request_log_policy.updated'",
  )
  expect(entry).toEqual({
    before: { keepBodies: 'NONE', retentionDays: 30 },
    after: { keepBodies: 'ERRORS', retentionDays: 7 },
  })
  refusedWith(await api.patch(policyPath, { retentionDays: 31 }), 'invalid_request')

  await setPolicy(world, api, 'ERRORS')
  const failed = await api.post('/api/v1/clients', { name: 1 })
  const row = await rowOf(world, failed)
  expect(row.request_body).toBe('{"name":1}')
  expect(JSON.parse(row.response_body)).toEqual(failed.body)
  const { body } = await api.get(`/api/v1/request-logs/${row.id}`)
  expect(body).toMatchObject({ requestBody: '{"name":1}', responseBody: row.response_body })
  expect(await rowOf(world, await api.post('/api/v1/clients', aClient))).toMatchObject({
    request_body: null,
    response_body: null,
  })
  await setPolicy(world, api, 'NONE')
})

test('with all bodies kept, no secret of anybody is anywhere in the log', async () => {
  await Promise.all([setPolicy(world, api, 'ALL'), setPolicy(world, world.operator, 'ALL')])
  const secrets: string[] = [api.key, world.operator.key]
  const created = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['clients:read'] })
  const rotated = await api.post(`/api/v1/api-keys/${created.body.id}/rotations`, {
    overlapSeconds: 60,
  })
  const endpoint = await api.post('/api/v1/webhook-endpoints', {
    url: 'http://127.0.0.1:8080/hook',
    eventTypes: ['*'],
  })
  const opened = await world.operator.post('/api/v1/organizations', { name: 'Opened' })
  secrets.push(created.body.key, rotated.body.key, endpoint.body.secret)
  secrets.push(...opened.body.adminKeys.map(({ key }: { key: string }) => key))
  expect(secrets.filter((secret) => !/^(ubk|whsec)_/.test(secret))).toEqual([])

  // Programs that put their key where it does not belong.
  const key = created.body.key
  await api.post('/api/v1/clients', { name: 'Ada', currency: 'EUR', metadata: { password: key } })
  await api.post('/api/v1/clients', { key, hidden: [key], currency: 1 })
  await api.get(`/api/v1/clients?key=${key}`)
  await world.callsWith('').get(`/${key}?key=${key}`)
  const last = await api.get('/api/v1/me', { 'x-correlation-id': key, 'user-agent': `shop ${key}` })

  await rowOf(world, last)
  await rowOf(world, opened)
  const rows = await world.query('select * from request_log')
  const text = rows.map((row) => JSON.stringify(row)).join('\n')
  for (const secret of secrets) {
    expect(text.includes(secret)).toBe(false)
    expect(text.includes(secret.slice(12))).toBe(false)
  }
  const row = await rowOf(world, created)
  expect(JSON.parse(row.response_body)).toEqual({ ...created.body, key: '[hidden]' })
  expect(text.toLowerCase()).not.toContain('bearer ')
  await Promise.all([setPolicy(world, api, 'NONE'), setPolicy(world, world.operator, 'NONE')])
})

test('a body that is too large to be kept whole is not kept in part', async () => {
  await setPolicy(world, api, 'ALL')
  const metadata = Object.fromEntries(
    Array.from({ length: 40 }, (_, at) => [`note${at}`, 'x'.repeat(490)]),
  )
  const large = await api.post('/api/v1/clients', { ...aClient, metadata })
  expect(large.status).toBe(201)
  const row = await rowOf(world, large)
  expect(row.request_bytes).toBeGreaterThan(16 * 1024)
  expect([row.request_body, row.response_body]).toEqual([null, null])
})

test('bodies are erased when the policy says so, and rows stay', async () => {
  const other = await world.newTenant()
  await setPolicy(world, other, 'ALL')
  const mine = await rowOf(world, await api.post('/api/v1/clients', aClient))
  const theirs = await rowOf(world, await other.post('/api/v1/clients', aClient))
  expect([mine.request_body, theirs.request_body]).not.toContain(null)
  await other.patch(policyPath, { retentionDays: 2 })
  const bodies = async () => {
    const rows = await world.query<{ id: string; request_body: string | null }>(
      'select id, request_body from request_log where id = any($1)',
      [[mine.id, theirs.id]],
    )
    return Object.fromEntries(rows.map((row) => [row.id, row.request_body !== null]))
  }
  const at = (days: number) => {
    const now = new Date(Date.now() + days * 24 * 60 * 60 * 1_000)
    return { ...world.ctx, clock: { ...world.ctx.clock, now: () => now } }
  }
  await eraseBodies(at(1.9))
  expect(await bodies()).toEqual({ [mine.id]: true, [theirs.id]: true })
  await eraseBodies(at(2.1))
  expect(await bodies()).toEqual({ [mine.id]: true, [theirs.id]: false })
})

test('a policy that cannot be read keeps no body, and costs no row', async () => {
  const { api: own, tenantId: owner } = await aKeeper()
  const { clock, step } = stoppedClock()
  let isReadable = true
  const query = (...args: Parameters<typeof world.ctx.db.worker.query>) => {
    const isPolicy = String(args[0]).includes('request_log_policy')
    if (isPolicy && !isReadable) return Promise.reject(new Error('not now'))
    return world.ctx.db.worker.query(...args)
  }
  const worker = Object.assign(Object.create(world.ctx.db.worker), { query })
  const requestLog = runRequestLog({ ...world.ctx, clock, db: { ...world.ctx.db, worker } })
  const called = async (): Promise<unknown> => {
    const id = clock.newId('req')
    const told = { id, tenantId: owner, apiKeyId: 'key_a' as const, isAdmitted: true }
    requestLog.note(aCall(told), { request: undefined, response: '{"a":1}' })
    const rows = () => world.query('select response_body from request_log where id = $1', [id])
    await until(async () => (await rows()).length === 1)
    return (await rows())[0]?.response_body
  }
  await until(async () => (await called()) === '{"a":1}')
  isReadable = false
  step(4_000)
  expect(await called()).toBe('{"a":1}')
  step(2_000)
  expect(await called()).toBeNull()
  await requestLog.stop(5_000)
  expect((await own.get(policyPath)).body.keepBodies).toBe('ALL')
})

/** A tenant that wants all bodies kept. */
async function aKeeper() {
  const keeper = await world.newTenant()
  await keeper.patch(policyPath, { keepBodies: 'ALL' })
  const { body } = await keeper.get('/api/v1/me')
  return { api: keeper, tenantId: tenantId(body.tenant.id) }
}
