import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import type { Tx } from '#db/transact.ts'
import { judgeUrl } from '#egress/address.ts'
import { type AllowedHosts, allowsUrl, notAllowed } from '#egress/hosts.ts'
import { findAllowedHosts } from '#egress/policy.sql.ts'
import { findSelectable } from '#events/own-type.sql.ts'
import { publish, publishExample } from '#events/publish.ts'
import type { WebhookEndpointPatch } from '#generated/types.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import { faultsOf, headersMax, patchHeaders } from './custom-header.ts'
import { hastenRetries } from './delivery.sql.ts'
import {
  countEndpoints,
  deleteEndpoint,
  findEndpoint,
  insertEndpoint,
  lockEndpoint,
  pageEndpoints,
  updateEndpoint,
} from './endpoint.sql.ts'
import { type Endpoint, endpointsMax, newEndpoint, patchEndpoint, toEndpoint } from './endpoint.ts'
import { headerKeeper } from './header-keeper.ts'
import { forgetHealth } from './health.sql.ts'
import { requireKeyPair } from './key-pair.ts'
import { placeWaiting } from './order.sql.ts'
import { requireEnd } from './retry-policy.ts'
import { secretPlace } from './secret.ts'
import { requireSense } from './subscription.ts'
import { requireReadable } from './transformation.ts'

export const createWebhookEndpoint: Operation<'createWebhookEndpoint'> = async (
  ctx,
  call,
  { body },
  tx,
) => {
  await requireUrl(ctx, tx, body.url)
  requireEnd(body.retryPolicy)
  requireSense(body, await findSelectable(tx, call.tenantId, body.eventTypes))
  await requireReadable(call.tenantId, body.transformation)
  requireHeaderNames(body.headers)
  if ((await countEndpoints(tx, call.tenantId)) >= endpointsMax) {
    throw problem('limit_reached', { detail: `A tenant has at most ${endpointsMax} endpoints.` })
  }
  const plain = newEndpoint(tx.newId('whe'), body, call.now)
  const endpoint = withHeaders(ctx, call, plain, body.headers)
  await requireKeyPair(ctx, tx, call, endpoint.signatureSchemes)
  const secret = ctx.secrets.newSigningSecret()
  const view = toEndpoint(endpoint)

  const sealed = ctx.secrets.seal(secretPlace(call.tenantId, endpoint.id), secret)
  insertEndpoint(tx, call.tenantId, endpoint, sealed)
  record(tx, call, 'webhook_endpoint.created', endpoint.id, { after: view })
  publish(tx, call, 'webhook_endpoint.created', view)
  return {
    status: 201,
    headers: { Location: `/api/v1/webhook-endpoints/${endpoint.id}` },
    body: { ...view, secret },
  }
}

export const listWebhookEndpoints: Operation<'listWebhookEndpoints'> = async (
  ctx,
  call,
  { query },
  db,
) => {
  const page = pageOf(ctx, call, 'webhook-endpoints', query)
  const endpoints = await pageEndpoints(db, call.tenantId, query, page)
  const placeOf = ({ id }: { id: string }) => [id]
  return {
    status: 200,
    body: toPage(ctx, call, 'webhook-endpoints', query, endpoints, placeOf, toEndpoint),
  }
}

export const getWebhookEndpoint: Operation<'getWebhookEndpoint'> = async (
  _ctx,
  call,
  { path },
  db,
) => {
  const endpoint = found(await findEndpoint(db, call.tenantId, path.webhookEndpointId))
  return { status: 200, body: toEndpoint(endpoint) }
}

export const updateWebhookEndpoint: Operation<'updateWebhookEndpoint'> = async (
  ctx,
  call,
  { path, headers, body },
  tx,
) => {
  requireSense(body, await findSelectable(tx, call.tenantId, body.eventTypes))
  await requireReadable(call.tenantId, body.transformation)
  const endpoint = found(await lockEndpoint(tx, call.tenantId, path.webhookEndpointId))
  requireMatch(headers['if-match'], endpoint.revision)
  if (body.url !== undefined) await requireUrl(ctx, tx, body.url)
  requireHeaderNames(body.headers)
  requireEnd(body.retryPolicy)

  const patched = withHeaders(ctx, call, patchEndpoint(endpoint, body, call.now), body.headers)
  const [before, view] = [toEndpoint(endpoint), toEndpoint(patched)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  if (changedFields.includes('signatureSchemes')) {
    await requireKeyPair(ctx, tx, call, patched.signatureSchemes)
  }
  updateEndpoint(tx, call.tenantId, patched)
  if (changedFields.includes('status') && patched.status === 'ENABLED') {
    hastenRetries(tx, call.tenantId, endpoint.id, call.now)
  }
  if (startsAnew(changedFields, patched)) forgetHealth(tx, call.tenantId, endpoint.id)
  if (patched.options.ordering === 'RESOURCE' && changedFields.includes('ordering')) {
    placeWaiting(tx, call.tenantId, endpoint.id)
  }
  record(tx, call, 'webhook_endpoint.updated', endpoint.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'webhook_endpoint.updated', view, { changedFields })
  if (changedFields.includes('status') && patched.status === 'DISABLED') {
    publish(tx, call, 'webhook_endpoint.disabled', view)
  }
  return { status: 200, body: view }
}

export const deleteWebhookEndpoint: Operation<'deleteWebhookEndpoint'> = async (
  _ctx,
  call,
  { path, headers },
  tx,
) => {
  const endpoint = found(await lockEndpoint(tx, call.tenantId, path.webhookEndpointId))
  requireMatch(headers['if-match'], endpoint.revision)

  deleteEndpoint(tx, call.tenantId, endpoint.id, call.now)
  record(tx, call, 'webhook_endpoint.deleted', endpoint.id, { before: toEndpoint(endpoint) })
  publish(tx, call, 'webhook_endpoint.deleted', toEndpoint(endpoint))
  return { status: 204 }
}

export const createTestEvent: Operation<'createTestEvent'> = async (
  _ctx,
  call,
  { path, body },
  tx,
) => {
  const endpoint = found(await findEndpoint(tx, call.tenantId, path.webhookEndpointId))
  if (endpoint.status === 'DISABLED') throw problem('endpoint_disabled')

  const type = body?.eventType ?? 'webhook_endpoint.tested'
  const told = { endpointId: endpoint.id }
  const event =
    type === 'webhook_endpoint.tested'
      ? publish(tx, call, type, toEndpoint(endpoint), told)
      : publishExample(tx, call, type, told)
  record(tx, call, 'webhook_endpoint.tested', endpoint.id, { after: { eventId: event.id, type } })
  return { status: 202, body: { ...event, position: null } }
}

/** Whether what came of attempts so far says nothing of attempts to come. */
function startsAnew(changedFields: readonly string[], { status }: Endpoint): boolean {
  return changedFields.includes('url') || (changedFields.includes('status') && status === 'ENABLED')
}

function withHeaders(
  { secrets }: Context,
  { tenantId, now }: Call,
  endpoint: Endpoint,
  patch: WebhookEndpointPatch['headers'],
): Endpoint {
  if (patch === undefined) return endpoint
  const keeper = headerKeeper(secrets, tenantId, endpoint.id)
  const headers = patchHeaders(endpoint.headers, patch, keeper, now)
  if (headers.length <= headersMax) return { ...endpoint, headers }
  const message = `must have at most ${headersMax} names`
  throw problem('invalid_request', {
    detail: `/headers ${message}.`,
    errors: [{ pointer: '/headers', code: 'too_many', message }],
  })
}

function requireHeaderNames(patch: WebhookEndpointPatch['headers']): void {
  const errors = faultsOf(patch ?? {})
  const [first] = errors
  if (first === undefined) return
  throw problem('invalid_request', { detail: `${first.pointer} ${first.message}.`, errors })
}

async function requireUrl(ctx: Context, tx: Tx, url: string): Promise<void> {
  const verdict = judgeUrl(url, ctx.config.egress)
  if (verdict.ok) return requireAllowed(await findAllowedHosts(tx, tx.tenantId), url)
  throw problem('endpoint_url_forbidden', {
    detail: verdict.reason,
    errors: [{ pointer: '/url', code: 'forbidden', message: 'is not a URL that we may send to' }],
  })
}

function requireAllowed(allowed: AllowedHosts, url: string): void {
  if (allowsUrl(allowed, url)) return
  throw problem('endpoint_url_forbidden', {
    detail: `/url ${notAllowed}.`,
    errors: [{ pointer: '/url', code: 'host_not_allowed', message: notAllowed }],
  })
}
