import { afterAll, beforeAll, expect, test } from 'vitest'
import { insertClient } from '#clients/client.sql.ts'
import { newClient, toClient } from '#clients/client.ts'
import type { OperationId } from '#generated/operations.ts'
import { routes } from '#generated/routes.ts'
import type { Operation } from '#http/operation.ts'
import { startMisbehaving } from '../http/fixture.ts'
import { receive } from '../inbound/fixture.ts'
import { type Receiver, startReceiver } from '../receiver.ts'
import { type Api, type Reply, startWorld, type World } from '../world.ts'
import { rowsOf } from './fixture.ts'

/*
 * Whatever changes something leaves an entry. The operations come from the contract: a new one that
 * writes is missing here until somebody says below how it is called.
 */

let world: World
let admin: Api
let receiver: Receiver
beforeAll(async () => {
  world = await startWorld()
  admin = await world.newTenant()
  receiver = await startReceiver()
})
afterAll(async () => {
  await receiver.stop()
  await world.stop()
})

type Deed = () => Promise<{ reply: Reply; actions: string[] }>

const keyed = () => ({ 'idempotency-key': world.ctx.clock.newId('req') })
const deed =
  (act: () => Promise<Reply>, ...actions: string[]): Deed =>
  async () => ({ reply: await act(), actions })

async function made(path: string, body: object): Promise<string> {
  const reply = await admin.post(`/api/v1/${path}`, body, keyed())
  if (reply.status !== 201) throw new Error(JSON.stringify(reply.body))
  return `/api/v1/${path}/${reply.body.id}`
}
const aClient = () => made('clients', { name: 'Ada', currency: 'GBP' })
const aKey = () => made('api-keys', { name: 'K', scopes: ['clients:read'] })
const anAccount = () => made('service-accounts', { name: 'Robot' })
const anEndpoint = () => made('webhook-endpoints', { url: receiver.url })
const aPayment = () => made('payments', { amount: 10, currency: 'EUR' })
async function aProposal(...steps: string[]): Promise<string> {
  const path = await made('proposals', {
    clientId: (await aClient()).split('/').at(-1),
    title: 'Engine',
    currency: 'GBP',
    lines: [{ description: 'Design', quantity: 1, unitAmount: 5 }],
  })
  for (const step of steps) await admin.post(`${path}/${step}`)
  return path
}
async function anInvoice(): Promise<string> {
  return await made('invoices', {
    clientId: (await aClient()).split('/').at(-1),
    currency: 'GBP',
    lines: [{ description: 'Design', quantity: 1, unitAmount: 5 }],
  })
}
async function aJob(): Promise<string> {
  const body = { task: 'USAGE_REPORT', payload: lastDay, runAt: inAnHour() }
  const reply = await admin.post('/api/v1/jobs', body)
  return `/api/v1/jobs/${reply.body.id}`
}
let types = 0
async function anEventType(): Promise<Reply> {
  types += 1
  return await admin.post('/api/v1/event-types', {
    ...{ type: `custom.thing_${types}.done`, description: 'Done.' },
    ...{ schema: { type: 'object' }, example: {} },
  })
}
const lastDay = { from: '2026-02-03T00:00:00Z', to: '2026-02-04T00:00:00Z' }
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()
const nightly = {
  ...{ name: 'Nightly', task: 'USAGE_REPORT', payload: { days: 1 } },
  ...{ cron: '30 2 * * *', timeZone: 'Europe/Berlin' },
}
const aSchedule = () => made('job-schedules', nightly)
/** One for which there is something to do. */
async function aConsumer(): Promise<string> {
  const path = await made('event-consumers', { name: 'Warehouse', startAfter: 0 })
  await world.drain()
  return path
}
const inbound = { name: 'Shop', scheme: 'GITHUB', secrets: ['a-secret'] }
const aSource = () => made('inbound-sources', inbound)
async function aReceipt(): Promise<string> {
  const id = await receive(world, admin)
  await world.drain()
  return `/api/v1/inbound-receipts/${id}`
}
async function aDelivery(): Promise<string> {
  await anEndpoint()
  await aClient()
  await world.drain()
  const { body } = await admin.get('/api/v1/webhook-deliveries?status=DELIVERED')
  return `/api/v1/webhook-deliveries/${body.data[0].id}`
}

/** How each operation that writes is called so that it changes something, and what that is called. */
const deeds: Partial<Record<OperationId, Deed>> = {
  createOrganization: deed(
    () => world.operator.post('/api/v1/organizations', { name: 'New' }),
    'organization.created',
    'api_key.created',
    'api_key.created',
  ),
  createOrganizationAdminKey: deed(
    async () => {
      const { body } = await world.operator.post('/api/v1/organizations', { name: 'Lost' })
      const path = `/api/v1/organizations/${body.id}/admin-keys`
      return await world.operator.post(path, { environment: 'SANDBOX' })
    },
    'api_key.created',
    'organization.admin_key_created',
  ),
  updateTenantLimits: deed(
    async () => {
      const { body } = await world.operator.post('/api/v1/organizations', { name: 'Busy' })
      const path = `/api/v1/organizations/${body.id}/tenants/${body.tenants[0].id}/limits`
      return await world.operator.patch(path, { key: { write: { quota: 9, windowSeconds: 10 } } })
    },
    'tenant.limits_updated',
    'tenant.limits_updated',
  ),
  updateTenantLegalHold: deed(
    async () => {
      const { body } = await world.operator.post('/api/v1/organizations', { name: 'Sued' })
      const path = `/api/v1/organizations/${body.id}/tenants/${body.tenants[0].id}/legal-hold`
      return await world.operator.patch(path, { reason: 'A claim' })
    },
    'tenant.hold_updated',
    'tenant.hold_updated',
  ),
  updateEgressPolicy: deed(
    () =>
      admin.patch('/api/v1/egress-policy', {
        allowedHosts: ['127.0.0.1', 'localhost', '*.com', '*.example'],
      }),
    'egress_policy.updated',
  ),
  updateRetentionPolicy: deed(
    () => admin.patch('/api/v1/retention-policy', { eventPayloadDays: 60 }),
    'retention_policy.updated',
  ),
  createApiKey: deed(
    () => admin.post('/api/v1/api-keys', { name: 'K', scopes: ['*'] }),
    'api_key.created',
  ),
  updateApiKey: deed(async () => admin.patch(await aKey(), { name: 'L' }), 'api_key.updated'),
  rotateApiKey: deed(async () => admin.post(`${await aKey()}/rotations`, {}), 'api_key.rotated'),
  revokeApiKey: deed(async () => admin.post(`${await aKey()}/revocation`), 'api_key.revoked'),
  createServiceAccount: deed(
    () => admin.post('/api/v1/service-accounts', { name: 'Robot' }),
    'service_account.created',
  ),
  updateServiceAccount: deed(
    async () => admin.patch(await anAccount(), { name: 'Machine' }),
    'service_account.updated',
  ),
  deleteServiceAccount: deed(
    async () => admin.delete(await anAccount()),
    'service_account.deleted',
  ),
  createClient: deed(
    () => admin.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' }),
    'client.created',
  ),
  updateClient: deed(async () => admin.patch(await aClient(), { phone: '1' }), 'client.updated'),
  deleteClient: deed(async () => admin.delete(await aClient()), 'client.deleted'),
  createProposal: deed(async () => {
    const clientId = (await aClient()).split('/').at(-1)
    const lines = [{ description: 'Design', quantity: 1, unitAmount: 5 }]
    return await admin.post('/api/v1/proposals', { clientId, title: 'E', currency: 'GBP', lines })
  }, 'proposal.created'),
  updateProposal: deed(
    async () => admin.patch(await aProposal(), { title: 'F' }),
    'proposal.updated',
  ),
  deleteProposal: deed(async () => admin.delete(await aProposal()), 'proposal.deleted'),
  submitProposal: deed(async () => admin.post(`${await aProposal()}/submission`), 'proposal.sent'),
  acceptProposal: deed(
    async () => admin.post(`${await aProposal('submission')}/acceptance`),
    'proposal.accepted',
  ),
  declineProposal: deed(
    async () => admin.post(`${await aProposal('submission')}/declination`, {}),
    'proposal.declined',
  ),
  createInvoice: deed(async () => {
    const proposalId = (await aProposal('submission', 'acceptance')).split('/').at(-1)
    return await admin.post('/api/v1/invoices', { proposalId })
  }, 'invoice.created'),
  updateInvoice: deed(async () => {
    const seen = { 'if-match': '"1"' }
    return await admin.patch(await anInvoice(), { dueDate: '2199-01-01' }, seen)
  }, 'invoice.updated'),
  issueInvoice: deed(async () => admin.post(`${await anInvoice()}/issuance`), 'invoice.issued'),
  voidInvoice: deed(async () => admin.post(`${await anInvoice()}/voidance`), 'invoice.voided'),
  createPayment: deed(
    () => admin.post('/api/v1/payments', { amount: 3, currency: 'EUR' }, keyed()),
    'payment.received',
  ),
  createRefund: deed(
    async () => admin.post(`${await aPayment()}/refunds`, { amount: 1 }, keyed()),
    'refund.created',
    'payment.refunded',
  ),
  updateRequestLogPolicy: deed(
    () => admin.patch('/api/v1/request-log-policy', { keepBodies: 'ERRORS' }),
    'request_log_policy.updated',
  ),
  createJob: deed(
    () => admin.post('/api/v1/jobs', { task: 'USAGE_REPORT', payload: lastDay }),
    'job.created',
  ),
  cancelJob: deed(async () => admin.post(`${await aJob()}/cancellation`), 'job.cancelled'),
  retryJob: deed(async () => {
    const path = await aJob()
    await admin.post(`${path}/cancellation`)
    return await admin.post(`${path}/retries`)
  }, 'job.retried'),
  createJobSchedule: deed(
    () => admin.post('/api/v1/job-schedules', nightly),
    'job_schedule.created',
  ),
  updateJobSchedule: deed(
    async () => admin.patch(await aSchedule(), { status: 'PAUSED' }),
    'job_schedule.updated',
  ),
  deleteJobSchedule: deed(async () => admin.delete(await aSchedule()), 'job_schedule.deleted'),
  createEventConsumer: deed(
    () => admin.post('/api/v1/event-consumers', { name: 'Warehouse' }),
    'event_consumer.created',
  ),
  createEventBatch: deed(
    async () => admin.post(`${await aConsumer()}/batches`),
    'event_consumer.leased',
  ),
  createEventCommit: deed(async () => {
    const path = await aConsumer()
    const { body } = await admin.post(`${path}/batches`)
    return await admin.post(`${path}/commits`, { batchId: body.id })
  }, 'event_consumer.committed'),
  updateEventConsumer: deed(
    async () => admin.patch(await aConsumer(), { position: 1 }),
    'event_consumer.updated',
  ),
  deleteEventConsumer: deed(async () => admin.delete(await aConsumer()), 'event_consumer.deleted'),
  createInboundSource: deed(
    () => admin.post('/api/v1/inbound-sources', inbound),
    'inbound_source.created',
  ),
  updateInboundSource: deed(
    async () => admin.patch(await aSource(), { name: 'Web shop' }),
    'inbound_source.updated',
  ),
  deleteInboundSource: deed(async () => admin.delete(await aSource()), 'inbound_source.deleted'),
  retryInboundReceipt: deed(
    async () => admin.post(`${await aReceipt()}/reprocessings`),
    'inbound_receipt.reprocessed',
  ),
  createInboundReprocessing: deed(
    () => admin.post('/api/v1/inbound-reprocessings', { status: 'QUARANTINED' }),
    'inbound_receipt.reprocessing_asked',
  ),
  createWebhookEndpoint: deed(
    () => admin.post('/api/v1/webhook-endpoints', { url: receiver.url }),
    'webhook_endpoint.created',
  ),
  updateWebhookEndpoint: deed(
    async () => admin.patch(await anEndpoint(), { description: 'Mine' }),
    'webhook_endpoint.updated',
  ),
  createEventType: deed(() => anEventType(), 'event_type.created'),
  updateEventType: deed(async () => {
    const { type } = (await anEventType()).body
    return await admin.patch(`/api/v1/event-types/${type}`, { description: 'Other' })
  }, 'event_type.updated'),
  deleteEventType: deed(async () => {
    const { type } = (await anEventType()).body
    return await admin.delete(`/api/v1/event-types/${type}`)
  }, 'event_type.deleted'),
  createEvent: deed(async () => {
    const { type } = (await anEventType()).body
    return await admin.post('/api/v1/events', { type, data: {} })
  }, 'event.published'),
  createWebhookDeliveries: deed(async () => {
    const endpointIds = [(await anEndpoint()).split('/').at(-1)]
    const eventId = (await admin.get('/api/v1/events?limit=1')).body.data[0].id
    return await admin.post('/api/v1/webhook-deliveries', { eventId, endpointIds })
  }, 'webhook_delivery.requested'),
  createWebhookPreview: deed(
    () => admin.post('/api/v1/webhook-previews', { eventType: 'client.created' }),
    'webhook_endpoint.previewed',
  ),
  deleteWebhookEndpoint: deed(
    async () => admin.delete(await anEndpoint()),
    'webhook_endpoint.deleted',
  ),
  rotateWebhookSecret: deed(
    async () => admin.post(`${await anEndpoint()}/secret-rotations`),
    'webhook_endpoint.secret_rotated',
  ),
  revokeFormerWebhookSecrets: deed(async () => {
    const path = await anEndpoint()
    await admin.post(`${path}/secret-rotations`)
    return await admin.post(`${path}/secret-revocation`)
  }, 'webhook_endpoint.secrets_revoked'),
  updateWebhookSettings: deed(
    () => admin.patch('/api/v1/webhook-settings', { retryPolicy: { delaysSeconds: [60] } }),
    'webhook_settings.updated',
  ),
  rotateWebhookKeySet: deed(
    () => admin.post('/api/v1/webhook-key-rotations'),
    'webhook_key_set.rotated',
  ),
  createTestEvent: deed(
    async () => admin.post(`${await anEndpoint()}/test-events`),
    'webhook_endpoint.tested',
  ),
  createWebhookReplay: deed(
    async () => admin.post('/api/v1/webhook-replays', { since: new Date().toISOString() }),
    'webhook_replay.created',
  ),
  createWebhookReplayPreview: deed(async () =>
    admin.post('/api/v1/webhook-replay-previews', { since: new Date().toISOString() }),
  ),
  createWebhookResumption: deed(async () => {
    const path = await anEndpoint()
    await admin.patch(path, { status: 'DISABLED' })
    return await admin.post(`${path}/resumptions`, { backlog: 'NONE' })
  }, 'webhook_endpoint.resumption_asked'),
  createWebhookResumptionPreview: deed(async () =>
    admin.post(`${await anEndpoint()}/resumption-previews`, { backlog: 'NONE' }),
  ),
  redeliverWebhookDelivery: deed(
    async () => admin.post(`${await aDelivery()}/redeliveries`),
    'webhook_delivery.redelivered',
  ),
}

/** What others send is no deed of anybody here: the receipt is the record of it. */
const writes = Object.values(routes).filter(({ kind, isRaw }) => kind === 'write' && !isRaw)

test.for(writes.map(({ operationId }) => operationId))(
  '%s leaves an entry that says who, what, when and from where',
  async (operationId) => {
    const act = deeds[operationId]
    if (act === undefined) throw new Error(`say in deeds how ${operationId} is called`)
    const { reply, actions } = await act()
    expect(reply.status, JSON.stringify(reply.body)).toBeLessThan(300)

    const requestId = reply.headers.get('x-request-id')
    const rows = await rowsOf(world, 'request_id = $1', [requestId])
    expect(rows.map(({ action }) => action).sort()).toEqual([...actions].sort())
    for (const row of rows) {
      expect(row.action).toMatch(/^[a-z_]+\.[a-z_]+$/)
      expect(row.actor_type).toBe(/rganization|Tenant/.test(operationId) ? 'OPERATOR' : 'API_KEY')
      expect(row.actor_id).toMatch(/^key_/)
      expect(row.ip).toBe('127.0.0.1')
      expect(row.before ?? row.after, `${row.action} says what changed`).not.toBeNull()
    }
  },
)

test('a change that leaves no entry is not made: the operation fails and nothing is kept', async () => {
  const createClient: Operation<'createClient'> = async (_ctx, call, { body }, tx) => {
    const client = newClient(tx.newId('cli'), body, call.now)
    insertClient(tx, call.tenantId, client)
    const location = `/api/v1/clients/${client.id}`
    return { status: 201, headers: { Location: location }, body: toClient(client) }
  }
  const silent = await startMisbehaving(world, { createClient })
  const response = await fetch(`${silent.url}/api/v1/clients`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Silent', currency: 'EUR' }),
  })
  await silent.stop()
  expect(response.status).toBe(500)
  expect(await world.query("select from client where name = 'Silent'")).toEqual([])
})

test('what is refused, changes nothing, or was done before leaves no entry of a deed', async () => {
  const path = await aClient()
  const other = { 'if-match': '"9"' }
  const key = keyed()
  const once = await admin.post('/api/v1/payments', { amount: 3, currency: 'EUR' }, key)
  const refusals = [
    await admin.post('/api/v1/clients', { name: 'X' }),
    await admin.patch(path, { phone: '2' }, other),
    await admin.patch(path, {}),
    await admin.post(`${await aProposal()}/acceptance`),
    await admin.patch(`/api/v1/clients/cli_${'0'.repeat(26)}`, { phone: '2' }),
    await admin.post('/api/v1/payments', { amount: 3, currency: 'EUR' }, key),
    await admin.post('/api/v1/payments', { amount: 4, currency: 'EUR' }, key),
  ]
  expect(refusals.map(({ status }) => status)).toEqual([400, 412, 200, 409, 404, 201, 422])
  for (const { headers } of refusals) {
    expect(await rowsOf(world, 'request_id = $1', [headers.get('x-request-id')])).toEqual([])
  }
  expect(await rowsOf(world, 'resource_id = $1', [once.body.id])).toHaveLength(1)
})
