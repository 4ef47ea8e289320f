import { createHmac } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { warnOfExpiry } from '#api-keys/expiry.task.ts'
import { makeUsageReport } from '#api-metrics/usage-report.task.ts'
import { forwardReceipt } from '#inbound/forward.task.ts'
import { TaskRefusal } from '#jobs/task.ts'
import type { UsageReportPayload } from '#jobs/usage-report.ts'
import { expireProposals } from '#proposals/expiry.task.ts'
import { todayOf } from '#proposals/proposal.ts'
import { watchHealth } from '#webhooks/health.task.ts'
import { aReceiver } from '../webhooks/fixture.ts'
import { refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ tasks: [report, forwardReceipt] })
})
afterAll(() => world.stop())

const dayMs = 24 * 60 * 60 * 1_000

/** Reports by key are refused, for a job that fails. */
const report = {
  ...makeUsageReport,
  run: (ctx, job) => {
    const { groupBy } = job.payload as UsageReportPayload
    if (groupBy === 'KEY') return Promise.reject(new TaskRefusal('No.'))
    return makeUsageReport.run(ctx, job)
  },
} satisfies typeof makeUsageReport

/** The types of the contract: one file each. */
const contracted = readdirSync('spec/v1/webhooks')
  .map((file) => file.replace(/\.yaml$/, ''))
  .sort()

test('every type of the contract is listed, with an example, in either order and by pages', async () => {
  const { api } = world
  const typesOf = async (query: string) =>
    (await api.get(`/api/v1/event-types?limit=200${query}`)).body.data.map(
      ({ type }: { type: string }) => type,
    )
  expect(await typesOf('')).toEqual(contracted)
  expect(await typesOf('&sort=-type')).toEqual(contracted.toReversed())

  const paged: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await api.get(`/api/v1/event-types?limit=4${cursor && `&cursor=${cursor}`}`)
    paged.push(...body.data.map(({ type }: { type: string }) => type))
    cursor = body.nextCursor
  }
  expect(paged).toEqual(contracted)
  for (const type of contracted) {
    const { status, body } = await api.get(`/api/v1/event-types/${type}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({ type, version: 1, example: { type } })
    expect(body.description).not.toBe('')
  }
})

test('a type that the contract does not have is refused', async () => {
  const reply = await world.api.get('/api/v1/event-types/client.eaten')
  expect([400, 404]).toContain(reply.status)
  refusedWith(await world.api.get('/api/v1/events?eventType=client.eaten'), 'invalid_request')
})

const within = { timeout: 30_000 }

test('every event type of the contract is published', async () => {
  const { operator, callsWith } = world
  const organization = await operator.post('/api/v1/organizations', { name: 'Ada Ltd' })
  const api = callsWith(organization.body.adminKeys[1].key)
  async function make(path: string, body?: unknown, expected = 201) {
    const reply = await api.post(`/api/v1/${path}`, body)
    if (reply.status !== expected) throw new Error(`${path}: ${JSON.stringify(reply.body)}`)
    return reply.body
  }

  const key = await make('api-keys', { name: 'CI', scopes: ['clients:read'] })
  await api.patch(`/api/v1/api-keys/${key.id}`, { name: 'CD' })
  await make(`api-keys/${key.id}/rotations`)
  await make(`api-keys/${key.id}/revocation`, undefined, 200)
  expect((await callsWith(key.key).get('/api/v1/me')).status).toBe(401)
  const account = await make('service-accounts', { name: 'Robot' })
  await api.patch(`/api/v1/service-accounts/${account.id}`, { status: 'DISABLED' })
  await api.delete(`/api/v1/service-accounts/${account.id}`)

  const client = await make('clients', { name: 'Bob', currency: 'GBP' })
  await api.patch(`/api/v1/clients/${client.id}`, { phone: '1' })
  const lines = [{ description: 'Work', quantity: 1, unitAmount: 10 }]
  const offered = { clientId: client.id, title: 'Work', currency: 'GBP', lines }
  const propose = async (more: object = {}) => (await make('proposals', { ...offered, ...more })).id
  const [accepted, declined, deleted] = [await propose(), await propose(), await propose()]
  await api.patch(`/api/v1/proposals/${accepted}`, { title: 'More work' })
  for (const id of [accepted, declined]) await make(`proposals/${id}/submission`, undefined, 200)
  await make(`proposals/${accepted}/acceptance`, undefined, 200)
  await make(`proposals/${declined}/declination`, undefined, 200)
  await api.delete(`/api/v1/proposals/${deleted}`)

  const bill = async () => (await make('invoices', { proposalId: accepted })).id
  const [paid, voided] = [await bill(), await bill()]
  const seen = { 'if-match': '"1"' }
  await api.patch(`/api/v1/invoices/${paid}`, { dueDate: '2199-01-01' }, seen)
  await make(`invoices/${paid}/issuance`, undefined, 200)
  await make(`invoices/${voided}/voidance`, undefined, 200)

  const amount = { amount: 10, currency: 'GBP', invoiceId: paid }
  const once = (value: string) => ({ 'idempotency-key': value })
  const payment = await api.post('/api/v1/payments', amount, once('payment-0001'))
  await api.post(`/api/v1/payments/${payment.body.id}/refunds`, { amount: 10 }, once('refund-0001'))
  const idle = await make('clients', { name: 'Eve', currency: 'GBP' })
  await api.delete(`/api/v1/clients/${idle.id}`)

  const endpoint = await make('webhook-endpoints', { url: (await aReceiver()).url })
  const path = `webhook-endpoints/${endpoint.id}`
  await make(`${path}/test-events`, undefined, 202)
  await make('webhook-key-rotations')
  await world.drain()
  await world.query(
    `insert into webhook_endpoint_health (tenant_id, endpoint_id, state, since, warned,
       consecutive_failures, first_failure_at)
     select tenant_id, id, 'DEGRADED', $2::timestamptz, 0, 5, $2 from webhook_endpoint where id = $1`,
    [endpoint.id, new Date(world.ctx.clock.now().getTime() - dayMs)],
  )
  await watchHealth(world.ctx)
  await world.query(
    `update webhook_endpoint_health
     set state = 'HEALTHY', consecutive_failures = 0, first_failure_at = null`,
  )
  await watchHealth(world.ctx)
  await api.patch(`/api/v1/${path}`, { status: 'DISABLED' })
  await api.delete(`/api/v1/${path}`)

  const consumer = await make('event-consumers', { name: 'Warehouse' })
  await api.patch(`/api/v1/event-consumers/${consumer.id}`, { name: 'Cellar' })
  await api.delete(`/api/v1/event-consumers/${consumer.id}`)

  const now = world.ctx.clock.now().getTime()
  const [from, to] = [now - dayMs, now].map((ms) => new Date(ms).toISOString())
  const reports = async (groupBy: string, more: object = {}) =>
    (await make('jobs', { task: 'USAGE_REPORT', payload: { from, to, groupBy }, ...more }, 202)).id
  await reports('DAY')
  await reports('KEY')
  const later = await reports('DAY', { runAt: new Date(now + dayMs).toISOString() })
  await make(`jobs/${later}/cancellation`, undefined, 200)
  const schedule = await make('job-schedules', {
    ...{ name: 'Daily', task: 'USAGE_REPORT', payload: { days: 1, groupBy: 'DAY' } },
    ...{ cron: '0 0 1 1 *', timeZone: 'UTC' },
  })
  await api.patch(`/api/v1/job-schedules/${schedule.id}`, { name: 'Nightly' })
  await api.delete(`/api/v1/job-schedules/${schedule.id}`)

  const hmac = { name: 'Shop', scheme: 'HMAC', secrets: ['a-secret'], acceptsUndedupable: true }
  const source = await make('inbound-sources', hmac)
  await api.patch(`/api/v1/inbound-sources/${source.id}`, { name: 'Web shop' })
  const mac = createHmac('sha256', 'a-secret').update('{}').digest('hex')
  const signed = { 'x-webhook-signature': mac }
  const hook = await api.post(`/hooks/${source.id}`, '{}', signed)
  expect(hook.status).toBe(200)
  const drifted = createHmac('sha256', 'a-secret').update('{').digest('hex')
  await api.post(`/hooks/${source.id}`, '{', { 'x-webhook-signature': drifted })
  await api.delete(`/api/v1/inbound-sources/${source.id}`)

  await make('api-keys', {
    ...{ name: 'Brief', scopes: ['clients:read'] },
    expiresAt: new Date(now + 2 * dayMs).toISOString(),
  })
  await warnOfExpiry(world.ctx)
  const offer = await propose({ validUntil: todayOf(world.ctx.clock.now()) })
  await make(`proposals/${offer}/submission`, undefined, 200)
  world.step(dayMs)
  await expireProposals(world.ctx)

  // Jobs end, and what is refused is written down, a moment later.
  await expect
    .poll(async () => {
      const rows = await world.query<{ type: string }>('select distinct type from event order by 1')
      return rows.map(({ type }) => type)
    }, within)
    .toEqual(contracted)
})
