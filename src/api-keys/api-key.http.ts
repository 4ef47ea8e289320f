import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import { type AllowList, matcherOf } from './allow-list.ts'
import {
  findApiKey,
  insertApiKey,
  lockApiKey,
  pageApiKeys,
  updateApiKey as updateRow,
} from './api-key.sql.ts'
import { type ApiKey, type KeyAccount, newApiKey, patchApiKey, toApiKey } from './api-key.ts'
import { reachOfCaller } from './caller.sql.ts'
import { canonicalIps, kindOf, requireFuture, requireUnrevoked } from './input.ts'
import {
  isWider,
  type Reach,
  reachOf,
  requireScopes,
  requireWithin,
  writtenReachOf,
} from './reach.ts'
import { insertSecurityEvent } from './security-event.sql.ts'
import { deedEvent } from './security-event.ts'
import { holdServiceAccount } from './service-account.sql.ts'

export const createApiKey: Operation<'createApiKey'> = async (ctx, call, { body }, tx) => {
  const allowedIps = canonicalIps(body.allowedIps)
  requireFuture(call.now, body.expiresAt)
  const own = await reachOfCaller(tx, call)
  const { key: secret, hash, prefix } = ctx.secrets.newApiKey(kindOf(call))
  const serviceAccount = await holdAccount(tx, call, body.serviceAccountId)
  const birth = { id: tx.newId('key'), prefix, allowedIps, serviceAccount, now: call.now }
  const key = newApiKey(body, birth)
  requireWithin(own, writtenReachOf(key))
  requireBound(key)
  const view = toApiKey(key, call.environment, call.now)

  insertApiKey(tx, call.tenantId, key, hash)
  insertSecurityEvent(tx, call.tenantId, deedEvent(tx.newId('sec'), 'KEY_CREATED', call, key))
  record(tx, call, 'api_key.created', key.id, { after: view })
  publish(tx, call, 'api_key.created', view)
  return {
    status: 201,
    headers: { Location: `/api/v1/api-keys/${key.id}` },
    body: { ...view, key: secret },
  }
}

export const listApiKeys: Operation<'listApiKeys'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'api-keys', query)
  const keys = await pageApiKeys(db, call.tenantId, query, page, call.now)
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
  const allowedIps = body.allowedIps === undefined ? undefined : canonicalIps(body.allowedIps)
  requireFuture(call.now, body.expiresAt)
  const key = found(await lockApiKey(tx, call.tenantId, path.apiKeyId))
  requireMatch(headers['if-match'], key.revision)
  requireUnrevoked(key)
  const own = await reachOfCaller(tx, call)
  const patched = patchApiKey(key, body, allowedIps, call.now)
  await requireMayPatch(tx, call, own, key, patched)
  requireNotOutside(call, key, allowedIps)

  const before = toApiKey(key, call.environment, call.now)
  const view = toApiKey(patched, call.environment, call.now)
  const changedFields = changedFieldsOf(before, view).filter((name) => name !== 'status')
  if (changedFields.length === 0) return { status: 200, body: before }

  const deed = deedEvent(tx.newId('sec'), 'KEY_UPDATED', call, patched, key)
  insertSecurityEvent(tx, call.tenantId, deed)
  updateRow(tx, call.tenantId, patched, call.now)
  record(tx, call, 'api_key.updated', key.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'api_key.updated', view, { changedFields })
  return { status: 200, body: view }
}

/**
 * A key with scopes beyond one's own is neither prolonged nor cut down, and what is widened must end
 * up within one's own reach in every way: else a caller that is bound to some addresses could open
 * to itself, elsewhere, what it has another key for.
 */
async function requireMayPatch(
  tx: Tx,
  call: Call,
  own: Reach,
  key: ApiKey,
  patched: ApiKey,
): Promise<void> {
  requireScopes(own.scopes, reachOf(key).scopes)
  const [before, after] = [writtenReachOf(key), writtenReachOf(patched)]
  if (!isWider(after, before)) return
  requireWithin(own, after)
  requireBound({ ...patched, serviceAccount: await holdAccount(tx, call, before.serviceAccountId) })
}

/** The service account, held against changes until the transaction ends. */
async function holdAccount(
  tx: Tx,
  call: Call,
  id: string | null | undefined,
): Promise<KeyAccount | null> {
  if (!id) return null
  const account = await holdServiceAccount(tx, call.tenantId, id)
  if (account !== undefined) return account
  throw problem('reference_unknown', {
    detail: 'There is no such service account.',
    errors: [
      { pointer: '/serviceAccountId', code: 'unknown', message: 'names no service account' },
    ],
  })
}

/** No key is given what its service account may not have. */
function requireBound({ scopes, serviceAccount }: ApiKey): void {
  if (serviceAccount?.scopes) requireScopes(serviceAccount.scopes, scopes, 'The service account')
}

/** Whoever changes the key that they call with must be able to change it back. */
function requireNotOutside(call: Call, key: ApiKey, allowedIps: AllowList | undefined): void {
  if (key.id !== call.key.id || allowedIps === undefined) return
  if (matcherOf(allowedIps)(call.ip)) return
  throw problem('self_lockout', {
    detail: `You call from ${call.ip ?? 'an unknown address'}, which the list does not hold.`,
    errors: [{ pointer: '/allowedIps', code: 'self_lockout', message: 'must hold your address' }],
  })
}
