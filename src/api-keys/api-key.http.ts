import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import type { Scope } from '#generated/routes.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import { operatorTenantId } from '#ids.ts'
import {
  findApiKey,
  holdApiKey,
  insertApiKey,
  lockApiKey,
  pageApiKeys,
  replaceSecret,
  updateApiKey as updateRow,
} from './api-key.sql.ts'
import {
  type ApiKey,
  excessScopes,
  newApiKey,
  patchApiKey,
  revokeApiKey as revoked,
  rotateApiKey as rotated,
  statusOf,
  toApiKey,
} from './api-key.ts'

export const createApiKey: Operation<'createApiKey'> = async (ctx, call, { body }, tx) => {
  await requireLiveCaller(tx, call)
  requireOwnScopes(call, body.scopes)
  requireFuture(call, body.expiresAt)
  const { key: secret, hash, prefix } = ctx.secrets.newApiKey(kindOf(call))
  const key = newApiKey(tx.newId('key'), body, prefix, call.now)
  const view = toApiKey(key, call.environment, call.now)

  insertApiKey(tx, call.tenantId, key, hash)
  record(tx, call, 'api_key.created', key.id, { after: view })
  publish(tx, call, 'api_key.created', view)
  return {
    status: 201,
    headers: { Location: `/api/v1/api-keys/${key.id}` },
    body: { ...view, key: secret },
  }
}

export const listApiKeys: Operation<'listApiKeys'> = async (ctx, call, { query }, db) => {
  const keys = await pageApiKeys(db, call.tenantId, query, pageOf(ctx, call, 'api-keys', query))
  const toItem = (key: ApiKey) => toApiKey(key, call.environment, call.now)
  return {
    status: 200,
    body: toPage(ctx, call, 'api-keys', query, keys, ({ id }) => [id], toItem),
  }
}

export const getApiKey: Operation<'getApiKey'> = async (_ctx, call, { path }, db) => {
  const key = found(await findApiKey(db, call.tenantId, path.apiKeyId))
  return { status: 200, body: toApiKey(key, call.environment, call.now) }
}

export const updateApiKey: Operation<'updateApiKey'> = async (_ctx, call, request, tx) => {
  const { path, headers, body } = request
  const key = found(await lockApiKey(tx, call.tenantId, path.apiKeyId))
  requireMatch(headers['if-match'], key.revision)
  requireUnrevoked(key)
  // A key broader than one's own is neither prolonged nor cut down.
  requireOwnScopes(call, key.scopes)
  if (body.scopes) requireOwnScopes(call, body.scopes)
  requireFuture(call, body.expiresAt)

  const patched = patchApiKey(key, body, call.now)
  const before = toApiKey(key, call.environment, call.now)
  const view = toApiKey(patched, call.environment, call.now)
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updateRow(tx, call.tenantId, patched, call.now)
  record(tx, call, 'api_key.updated', key.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'api_key.updated', view, { changedFields })
  return { status: 200, body: view }
}

export const rotateApiKey: Operation<'rotateApiKey'> = async (ctx, call, { path, body }, tx) => {
  await requireLiveCaller(tx, call)
  const key = found(await lockApiKey(tx, call.tenantId, path.apiKeyId))
  requireUnrevoked(key)
  // A new secret for a broader key would be a way to its scopes.
  requireOwnScopes(call, key.scopes)
  const overlapMs = (body?.overlapSeconds ?? 86_400) * 1_000
  const { key: secret, hash, prefix } = ctx.secrets.newApiKey(kindOf(call))
  const next = rotated(key, prefix, call.now)
  const view = toApiKey(next, call.environment, call.now)

  const overlapEndsAt = new Date(call.now.getTime() + overlapMs)
  replaceSecret(tx, call.tenantId, key.id, hash, overlapEndsAt, call.now)
  updateRow(tx, call.tenantId, next, call.now)
  record(tx, call, 'api_key.rotated', key.id, {
    before: { prefix: key.prefix },
    after: { prefix, overlapEndsAt },
  })
  publish(tx, call, 'api_key.rotated', view)
  return {
    status: 201,
    headers: { Location: `/api/v1/api-keys/${key.id}` },
    body: { ...view, key: secret },
  }
}

export const revokeApiKey: Operation<'revokeApiKey'> = async (_ctx, call, { path }, tx) => {
  const key = found(await lockApiKey(tx, call.tenantId, path.apiKeyId))
  if (key.revokedAt !== null) {
    return { status: 200, body: toApiKey(key, call.environment, call.now) }
  }
  requireOwnScopes(call, key.scopes)
  const next = revoked(key, call.now)
  const view = toApiKey(next, call.environment, call.now)

  updateRow(tx, call.tenantId, next, call.now)
  record(tx, call, 'api_key.revoked', key.id, {
    before: { status: statusOf(key, call.now) },
    after: { status: view.status },
  })
  publish(tx, call, 'api_key.revoked', view)
  return { status: 200, body: view }
}

export const getMe: Operation<'getMe'> = async (_ctx, call) => {
  const { id, name, prefix, scopes, expiresAt } = call.key
  return {
    status: 200,
    body: {
      key: { id, name, prefix, scopes: [...scopes], expiresAt: expiresAt?.toISOString() ?? null },
      organization: { id: call.organizationId },
      tenant: { id: call.tenantId, environment: call.environment },
    },
  }
}

function kindOf(call: Call): 'live' | 'test' | 'op' {
  if (call.tenantId === operatorTenantId) return 'op'
  return call.environment === 'PRODUCTION' ? 'live' : 'test'
}

function requireOwnScopes(call: Call, wanted: readonly Scope[]): void {
  const excess = excessScopes(wanted, call.key.scopes)
  if (excess.length === 0) return
  throw problem('scope_escalation', { detail: `Your key lacks ${excess.join(', ')}.` })
}

/** A key that was revoked a moment ago, and is still cached somewhere, leaves no successor. */
async function requireLiveCaller(tx: Tx, call: Call): Promise<void> {
  const own = await holdApiKey(tx, call.tenantId, call.key.id)
  if (own === undefined || own.revokedAt !== null) throw problem('key_revoked')
}

function requireUnrevoked(key: ApiKey): void {
  if (key.revokedAt === null) return
  throw problem('invalid_state', { detail: 'The key is revoked, and stays so.' })
}

function requireFuture(call: Call, expiresAt: string | null | undefined): void {
  if (!expiresAt || new Date(expiresAt) > call.now) return
  throw problem('invalid_request', {
    detail: 'expiresAt must be in the future.',
    errors: [{ pointer: '/expiresAt', code: 'out_of_range', message: 'must be in the future' }],
  })
}
