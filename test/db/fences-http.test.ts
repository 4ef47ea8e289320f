import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Route, routes } from '#generated/routes.ts'
import type { TenantId } from '#ids.ts'
import { receive } from '../inbound/fixture.ts'
import { type Receiver, startReceiver } from '../receiver.ts'
import { rowOf } from '../request-log/fixture.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { tenantOf } from './fixture.ts'

/*
 * Another tenant's things do not exist. That is shown twice: as it is, and with the policies of the
 * database taken away, so that it is the conditions of our own SQL that have to hold.
 */

let world: World
let receiver: Receiver
let ours: Api
let theirs: Api
let theirTenant: TenantId
let ids: Record<string, string>
beforeAll(async () => {
  world = await startWorld()
  receiver = await startReceiver()
  ours = await world.newTenant('Ours')
  theirs = await world.newTenant('Theirs')
  theirTenant = await tenantOf(theirs)
  ids = await makeOneOfEach(theirs)
})
afterAll(async () => {
  await receiver.stop()
  await world.stop()
})

/** One thing of every kind that has an id, by the name of its parameter in the contract. */
async function makeOneOfEach(api: Api): Promise<Record<string, string>> {
  const post = async (path: string, body: object) => {
    const reply = await api.post(`/api/v1/${path}`, body, { 'idempotency-key': `make-${path}` })
    expect(reply.status).toBe(201)
    return reply.body.id as string
  }
  const webhookEndpointId = await post('webhook-endpoints', { url: receiver.url })
  const clientId = await post('clients', { name: 'Theirs', currency: 'EUR', externalId: 'theirs' })
  const lines = [{ description: 'Work', quantity: 1, unitAmount: 10 }]
  const proposalId = await post('proposals', { clientId, title: 'O', currency: 'EUR', lines })
  const invoiceId = await post('invoices', { clientId, currency: 'EUR', lines })
  await api.post(`/api/v1/invoices/${invoiceId}/issuance`)
  const paymentId = await post('payments', { invoiceId, amount: 10, currency: 'EUR' })
  const refundId = await post(`payments/${paymentId}/refunds`, { amount: 1 })
  const serviceAccountId = await post('service-accounts', { name: 'S' })
  const key = { name: 'K', scopes: ['clients:read'], serviceAccountId }
  const apiKeyId = await post('api-keys', key)
  const jobScheduleId = await post('job-schedules', {
    ...{ name: 'J', task: 'USAGE_REPORT', payload: { days: 1 } },
    ...{ cron: '0 0 29 2 *', timeZone: 'UTC' },
  })
  const eventConsumerId = await post('event-consumers', { name: 'W', startAfter: 0 })
  const source = { name: 'I', scheme: 'GITHUB', secrets: ['a-secret'] }
  const inboundSourceId = await post('inbound-sources', source)
  const job = await api.post('/api/v1/jobs', {
    ...{ task: 'USAGE_REPORT', runAt: new Date(Date.now() + 3_600_000).toISOString() },
    payload: { from: '2026-02-03T00:00:00Z', to: '2026-02-04T00:00:00Z' },
  })
  const inboundReceiptId = await receive(world, api)
  await world.drain()
  const first = async (list: string) => (await api.get(`/api/v1/${list}`)).body.data[0].id as string
  const { id: requestId } = await rowOf(world, await api.get('/api/v1/me'))
  return {
    requestId,
    webhookEndpointId,
    clientId,
    proposalId,
    invoiceId,
    paymentId,
    refundId,
    apiKeyId,
    serviceAccountId,
    jobScheduleId,
    eventConsumerId,
    inboundSourceId,
    inboundReceiptId,
    jobId: job.body.id,
    eventId: await first('events'),
    webhookDeliveryId: await first('webhook-deliveries'),
    auditEntryId: await first('audit-entries?action=client.created'),
  }
}

const ofTenants = Object.values(routes).filter(
  ({ scopes, url }) => scopes?.every((scope) => !/^org|^ope/.test(scope)) && url !== '/api/v1/me',
)
const ofOneThing = ofTenants.filter(({ url }) => /:\w+Id/.test(url))
const lists = ofTenants.filter(
  ({ url, method, replies }) =>
    // A stream has no end; what it may tell is in test/events/stream.test.ts.
    method === 'GET' && !url.includes(':') && replies[200]?.mediaType === 'application/json',
)

/** Bodies that fit the contract, where there must be one. */
const bodies: Record<string, object> = {
  createRefund: { amount: 1 },
  createEventCommit: { batchId: `bat_${'0'.repeat(26)}` },
  updateApiKey: { name: 'Taken over' },
  updateInboundSource: { name: 'Taken over' },
  updateJobSchedule: { name: 'Taken over' },
  updateEventConsumer: { name: 'Taken over' },
  updateInvoice: { dueDate: null },
  updateClient: { name: 'Taken over' },
  updateServiceAccount: { status: 'DISABLED' },
  updateProposal: { title: 'Taken over' },
  updateWebhookEndpoint: { description: 'Taken over' },
  createWebhookResumption: { backlog: 'ALL' },
  createWebhookResumptionPreview: { backlog: 'ALL' },
}

async function attempt(route: Route, api: Api) {
  const path = route.url.replaceAll(/:(\w+)/g, (_, name: string) => {
    const id = ids[name]
    if (id === undefined) throw new Error(`${route.operationId}: this test makes no ${name}`)
    return id
  })
  const body = bodies[route.operationId]
  const response = await fetch(world.url + path, {
    method: route.method,
    headers: {
      authorization: `Bearer ${api.key}`,
      ...(body ? { 'content-type': 'application/json' } : {}),
      ...(route.idempotency === 'required' ? { 'idempotency-key': route.operationId } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return { status: response.status, body: (await response.json()) as { code?: string } }
}

/** What a process writes down by itself of calls and deliveries, when it comes to it. */
const writtenBehind = [
  'api_call_minute',
  'api_key_last_use',
  'api_key_usage',
  'audit_chain',
  'audit_head',
  'audit_pending',
  'inbound_metric',
  'quota_spent',
  'request_log',
  'webhook_metric',
]

/** All that the database has of the other tenant, as one digest. */
async function theirRows(): Promise<string> {
  const tables = await world.query<{ name: string }>(
    `select relname as name from pg_class
     join pg_attribute on attrelid = pg_class.oid and attname = 'tenant_id' and attnum > 0
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
       and relname <> all ($1)`,
    [writtenBehind],
  )
  const parts = tables.map(({ name }) => {
    const isChange = name === 'audit' ? 'and details is null' : ''
    return `select '${name}' || t::text as row from ${name} as t where tenant_id = $1 ${isChange}`
  })
  const [found] = await world.query<{ digest: string; rows: number }>(
    `select count(*)::int as rows, md5(string_agg(row, ',' order by row)) as digest
     from (${parts.join(' union all ')}) as everything`,
    [theirTenant],
  )
  expect(found?.rows).toBeGreaterThan(20)
  return found?.digest ?? ''
}

async function nothingOfTheirs(): Promise<void> {
  const before = await theirRows()
  expect(ofOneThing.length).toBeGreaterThan(20)
  for (const route of ofOneThing) {
    const { status, body } = await attempt(route, ours)
    const outcome = [route.operationId, status, body.code]
    expect(outcome).toEqual([route.operationId, 404, 'not_found'])
  }
  const known = Object.values(ids)
  for (const { url, operationId } of lists) {
    if (operationId === 'listEventTypes') continue
    const text = JSON.stringify((await ours.get(`${url}?limit=200`)).body)
    for (const id of known) expect(text, operationId).not.toContain(id)
  }
  await nothingByReference()
  expect(await theirRows()).toBe(before)
}

/** Filters and references are ways to another tenant's things too. */
async function nothingByReference(): Promise<void> {
  const { apiKeyId, clientId, proposalId, invoiceId, eventId } = ids
  const { serviceAccountId, webhookEndpointId, inboundSourceId } = ids
  for (const filter of [
    'clients?externalId=theirs',
    `proposals?clientId=${clientId}`,
    `payments?clientId=${clientId}`,
    `payments?invoiceId=${invoiceId}`,
    `invoices?clientId=${clientId}`,
    `invoices?proposalId=${proposalId}`,
    'invoices?number=INV-000001',
    `api-keys?serviceAccountId=${serviceAccountId}`,
    `api-security-events?apiKeyId=${apiKeyId}`,
    `inbound-receipts?sourceId=${inboundSourceId}`,
    `webhook-deliveries?eventId=${eventId}`,
    `webhook-deliveries?endpointId=${webhookEndpointId}`,
  ]) {
    const reply = await ours.get(`/api/v1/${filter}`)
    expect([filter, reply.status, reply.body.data]).toEqual([filter, 200, []])
  }
  const lines = [{ description: 'Work', quantity: 1, unitAmount: 10 }]
  const offer = { clientId, title: 'O', currency: 'EUR', lines }
  const bill = { clientId, currency: 'EUR', lines }
  const payment = { clientId, amount: 1, currency: 'EUR' }
  const settling = { invoiceId, amount: 1, currency: 'EUR' }
  const key = { name: 'K', scopes: ['clients:read'], serviceAccountId }
  const referring = [
    await ours.post('/api/v1/api-keys', key),
    await ours.post('/api/v1/proposals', offer),
    await ours.post('/api/v1/payments', payment, { 'idempotency-key': 'theirs' }),
    await ours.post('/api/v1/payments', settling, { 'idempotency-key': 'theirs' }),
    await ours.post('/api/v1/invoices', bill),
    await ours.post('/api/v1/invoices', { proposalId }),
  ]
  for (const { status, body } of referring) {
    expect([status, body.code]).toEqual([409, 'reference_unknown'])
  }
}

test('to its own tenant every one of these things is there', async () => {
  for (const route of ofOneThing.filter(({ method }) => method === 'GET')) {
    expect([route.operationId, (await attempt(route, theirs)).status]).toEqual([
      route.operationId,
      200,
    ])
  }
})

test('another tenant’s things can be neither read nor changed nor referred to, by any operation', async () => {
  await nothingOfTheirs()
})

test('nor can they when the database’s own fence is gone', async () => {
  const policies = await world.query<{ name: string }>(
    "select polrelid::regclass::text as name from pg_policy where polname = 'tenant_fence'",
  )
  expect(policies.length).toBeGreaterThan(15)
  // One at a time: together they would wait for the worker in a circle.
  for (const { name } of policies) {
    await world.query(`alter policy tenant_fence on ${name} using (true) with check (true)`)
  }
  const client = await world.ctx.db.writers.connect()
  const { rows } = await client.query('select 1 from client where tenant_id = $1', [theirTenant])
  client.release()
  expect(rows.length, 'the fence is gone').toBeGreaterThan(0)
  await nothingOfTheirs()
})
