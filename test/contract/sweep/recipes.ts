import { anchorAudit, anchorEveryMs } from '#audit/anchor.task.ts'
import type { OperationId } from '#generated/operations.ts'
import { receive } from '../../inbound/fixture.ts'
import type { Maker } from './prepare.ts'

/*
 * What the contract does not say of itself, and the sweeps need. A thing that an operation makes and
 * answers 201 with its id needs no line here, nor does one that a list shows once something was
 * done, such as an event.
 */

type Recipe = (maker: Maker) => Promise<string>

/** Something that leaves its traces everywhere: in events, the audit, the story of keys, logs. */
export const doSomething = ({ perform }: Maker): Promise<unknown> => perform('createApiKey')

/** By the kind of an id: makes a thing in the maker's tenant and answers its id. */
export const recipes: Readonly<Record<string, Recipe>> = {
  async TenantId({ idOf, perform }) {
    await idOf('OrganizationId')
    return (await perform('getOrganization')).tenants[0].id
  },
  async WebhookDeliveryId({ cast, tenant, idOf, perform }) {
    await idOf('WebhookEndpointId')
    const event = await perform('createTestEvent')
    await cast.world.drain()
    const rows = await cast.world.query<{ id: string }>(
      'select id from webhook_delivery where tenant_id = $1 and event_id = $2',
      [tenant.tenantId, event.id],
    )
    return rows[0]?.id ?? ''
  },
  /** One that waits, so that it is there as it is whatever the worker does. */
  async JobId({ perform }) {
    const runAt = new Date(Date.now() + 24 * 60 * 60 * 1_000).toISOString()
    return (await perform('createJob', { runAt })).id
  },
  /** Of a consumer that has everything before it. */
  async EventBatchId({ cast, idOf, perform }) {
    await idOf('EventConsumerId')
    await cast.world.drain()
    return (await perform('createEventBatch')).id
  },
  async InboundReceiptId({ cast, tenant }) {
    const id = await receive(cast.world, cast.world.callsWith(tenant.keys[0] ?? ''))
    await cast.world.drain()
    return id
  },
  async CustomEventTypeName({ perform }) {
    return (await perform('createEventType')).type
  },
  /** So little that a payment can be refunded many times. */
  async RefundId({ perform }) {
    return (await perform('createRefund', { amount: 1 })).id
  },
}

/** A thing on which an operation was performed. */
const after =
  (kind: string, ...operationIds: OperationId[]): Recipe =>
  async ({ idOf, perform }) => {
    const id = await idOf(kind)
    for (const operationId of operationIds) await perform(operationId)
    return id
  }

/** An endpoint, once no replay is under way any more. */
const afterOtherReplays: Recipe = async ({ cast, idOf }) => {
  const id = await idOf('WebhookEndpointId')
  await cast.world.drain()
  return id
}

/** An endpoint that is disabled, and that nobody is about to enable. */
const disabledEndpoint: Recipe = async ({ cast, idOf, perform }) => {
  const id = await idOf('WebhookEndpointId')
  await cast.world.drain()
  await perform('updateWebhookEndpoint', { status: 'DISABLED' })
  return id
}

/** A tenant that signs by key pairs. */
const keyedTenant: Recipe = async ({ tenant, perform }) => {
  await perform('rotateWebhookKeySet', { overlapSeconds: 0 })
  return tenant.tenantId
}

/** By operation: which of the things that it is called with have to be in some state, and how. */
export const needs: Partial<Record<OperationId, Readonly<Record<string, Recipe>>>> = {
  acceptProposal: { ProposalId: after('ProposalId', 'submitProposal') },
  declineProposal: { ProposalId: after('ProposalId', 'submitProposal') },
  createInvoice: { ProposalId: after('ProposalId', 'submitProposal', 'acceptProposal') },
  voidInvoice: { InvoiceId: after('InvoiceId', 'issueInvoice') },
  getWebhookPublicKeys: { TenantId: keyedTenant },
  retryJob: { JobId: after('JobId', 'cancelJob') },
  createWebhookReplay: { WebhookEndpointId: afterOtherReplays },
  createWebhookResumption: { WebhookEndpointId: disabledEndpoint },
  createPayment: { InvoiceId: after('InvoiceId', 'issueInvoice') },
}

/**
 * By list: adds a row to it, beside what the maker has made. A list of things that are made needs no
 * line here; null: rows are not added.
 */
export const rows: Partial<Record<OperationId, ((maker: Maker) => Promise<unknown>) | null>> = {
  async listDeliveryAttempts({ cast, perform }) {
    await perform('redeliverWebhookDelivery')
    await cast.world.drain()
  },
  async listInboundReceipts({ cast, tenant }) {
    await receive(cast.world, cast.world.callsWith(tenant.keys[0] ?? ''))
    await cast.world.drain()
  },
  // They come with the contract.
  listEventTypes: null,
  async listAuditAnchors({ cast }) {
    cast.world.step(anchorEveryMs)
    await anchorAudit(cast.world.ctx)
  },
}
