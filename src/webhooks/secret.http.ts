import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { pick } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { found, problem } from '#http/problem.ts'
import { lockEndpoint } from './endpoint.sql.ts'
import { type Endpoint, toEndpoint } from './endpoint.ts'
import { findSecret, updateSecrets } from './secret.sql.ts'
import { overlapSecondsUsual, secretPlace, secretsMax, withNewSecret } from './secret.ts'

export const rotateWebhookSecret: Operation<'rotateWebhookSecret'> = async (
  ctx,
  call,
  { path, body },
  tx,
) => {
  const endpoint = found(await lockEndpoint(tx, call.tenantId, path.webhookEndpointId))
  const sealed = found(await findSecret(tx, call.tenantId, endpoint.id))
  const overlapMs = (body?.overlapSeconds ?? overlapSecondsUsual) * 1_000
  const fresh = { id: tx.newId('whs'), sealed, overlapMs }
  const history = withNewSecret(endpoint, fresh, call.now)
  if (history.formerSecrets.length >= secretsMax) throw tooMany()

  const rotated = changed({ ...endpoint, ...history }, call.now)
  const secret = ctx.secrets.newSigningSecret()
  const sealedAnew = ctx.secrets.seal(secretPlace(call.tenantId, endpoint.id), secret)
  updateSecrets(tx, call.tenantId, rotated, sealedAnew)
  tell(tx, call, 'webhook_endpoint.secret_rotated', endpoint, rotated)
  return {
    status: 201,
    headers: { Location: `/api/v1/webhook-endpoints/${endpoint.id}` },
    body: { ...toEndpoint(rotated), secret },
  }
}

export const revokeFormerWebhookSecrets: Operation<'revokeFormerWebhookSecrets'> = async (
  _ctx,
  call,
  { path },
  tx,
) => {
  const endpoint = found(await lockEndpoint(tx, call.tenantId, path.webhookEndpointId))
  if (endpoint.formerSecrets.length === 0) return { status: 200, body: toEndpoint(endpoint) }

  const sealed = found(await findSecret(tx, call.tenantId, endpoint.id))
  const revoked = changed({ ...endpoint, formerSecrets: [] }, call.now)
  updateSecrets(tx, call.tenantId, revoked, sealed)
  tell(tx, call, 'webhook_endpoint.secrets_revoked', endpoint, revoked)
  return { status: 200, body: toEndpoint(revoked) }
}

function changed(endpoint: Endpoint, now: Date): Endpoint {
  return { ...endpoint, revision: endpoint.revision + 1, updatedAt: now }
}

/** Which secrets sign is no secret: the audit and the event tell their ids and ends. */
function tell(
  tx: Tx,
  call: Call,
  action: 'webhook_endpoint.secret_rotated' | 'webhook_endpoint.secrets_revoked',
  before: Endpoint,
  after: Endpoint,
): void {
  const changedFields = ['signingSecrets']
  const [earlier, view] = [toEndpoint(before), toEndpoint(after)]
  record(tx, call, action, after.id, {
    before: pick(earlier, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'webhook_endpoint.updated', view, { changedFields })
}

function tooMany() {
  return problem('limit_reached', {
    detail: `At most ${secretsMax} secrets of an endpoint sign at once. Revoke the former ones first.`,
  })
}
