import { record } from '#audit/record.ts'
import type { Operation } from '#http/operation.ts'
import { found, problem } from '#http/problem.ts'
import { askFor } from '#jobs/ask.ts'
import { requireFit } from '#jobs/misfit.ts'
import { findEndpoint, lockEndpoint } from './endpoint.sql.ts'
import { countHeld } from './resumption.sql.ts'
import {
  firstEventSent,
  misfitOfResumption,
  resumptionKey,
  resumptionOf,
  toPreview,
  webhookResumption,
} from './resumption.ts'

export const createWebhookResumption: Operation<'createWebhookResumption'> = async (
  _ctx,
  call,
  { path, body },
  tx,
) => {
  requireFit(misfitOfResumption(body, call.now))
  const endpoint = found(await lockEndpoint(tx, call.tenantId, path.webhookEndpointId))
  if (endpoint.status === 'ENABLED') {
    throw problem('invalid_state', { detail: 'The endpoint is enabled.' })
  }
  const payload = resumptionOf(endpoint.id, body, call.now)
  const uniqueKey = resumptionKey(endpoint.id)
  const view = askFor(tx, call, webhookResumption, payload, { uniqueKey })
  record(tx, call, 'webhook_endpoint.resumption_asked', endpoint.id, { after: { ...payload } })
  return { status: 202, headers: { Location: `/api/v1/jobs/${view.id}` }, body: view }
}

export const createWebhookResumptionPreview: Operation<'createWebhookResumptionPreview'> = async (
  _ctx,
  call,
  { path, body },
  tx,
) => {
  requireFit(misfitOfResumption(body, call.now))
  const endpoint = found(await findEndpoint(tx, call.tenantId, path.webhookEndpointId))
  const lane = { tenantId: call.tenantId, endpointId: endpoint.id }
  const { sentFrom, backlog } = resumptionOf(endpoint.id, body, call.now)
  const asked = backlog === 'SINCE' ? firstEventSent({ sentFrom }) : null
  return { status: 200, body: toPreview(await countHeld(tx, lane, call.now, asked)) }
}
