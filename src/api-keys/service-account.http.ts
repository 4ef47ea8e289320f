import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import { reachOfCaller } from './caller.sql.ts'
import { requireScopes } from './reach.ts'
import {
  deleteServiceAccount as deleteRow,
  findServiceAccount,
  insertServiceAccount,
  lockServiceAccount,
  pageServiceAccounts,
  scopesOfKeys,
  updateServiceAccount as updateRow,
} from './service-account.sql.ts'
import {
  newServiceAccount,
  patchServiceAccount,
  type ServiceAccount,
  toServiceAccount,
} from './service-account.ts'

export const createServiceAccount: Operation<'createServiceAccount'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  const account = newServiceAccount(tx.newId('sva'), body, call.now)
  const view = toServiceAccount(account)

  insertServiceAccount(tx, call.tenantId, account)
  record(tx, call, 'service_account.created', account.id, { after: view })
  publish(tx, call, 'service_account.created', view)
  return {
    status: 201,
    headers: { Location: `/api/v1/service-accounts/${account.id}` },
    body: view,
  }
}

export const listServiceAccounts: Operation<'listServiceAccounts'> = async (
  ctx,
  call,
  { query },
  db,
) => {
  const page = pageOf(ctx, call, 'service-accounts', query)
  const accounts = await pageServiceAccounts(db, call.tenantId, query, page)
  const placeOf = ({ id }: ServiceAccount) => [id]
  return {
    status: 200,
    body: toPage(ctx, call, 'service-accounts', query, accounts, placeOf, toServiceAccount),
  }
}

export const getServiceAccount: Operation<'getServiceAccount'> = async (
  _ctx,
  call,
  { path },
  db,
) => {
  const account = found(await findServiceAccount(db, call.tenantId, path.serviceAccountId))
  return { status: 200, body: toServiceAccount(account) }
}

export const updateServiceAccount: Operation<'updateServiceAccount'> = async (
  _ctx,
  call,
  { path, headers, body },
  tx,
) => {
  const account = found(await lockServiceAccount(tx, call.tenantId, path.serviceAccountId))
  requireMatch(headers['if-match'], account.revision)
  const patched = patchServiceAccount(account, body, call.now)
  const [before, view] = [toServiceAccount(account), toServiceAccount(patched)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }
  if (changedFields.includes('status') || changedFields.includes('scopes')) {
    await requireOverKeys(tx, call, account)
  }

  record(tx, call, 'service_account.updated', account.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'service_account.updated', view, { changedFields })
  updateRow(tx, call.tenantId, patched)
  return { status: 200, body: view }
}

export const deleteServiceAccount: Operation<'deleteServiceAccount'> = async (
  _ctx,
  call,
  { path, headers },
  tx,
) => {
  const account = found(await lockServiceAccount(tx, call.tenantId, path.serviceAccountId))
  requireMatch(headers['if-match'], account.revision)
  if ((await scopesOfKeys(tx, call.tenantId, account.id)).length > 0) {
    throw problem('resource_in_use', { detail: 'It has keys. Revoke them before.' })
  }

  deleteRow(tx, call.tenantId, account.id, call.now)
  record(tx, call, 'service_account.deleted', account.id, { before: toServiceAccount(account) })
  publish(tx, call, 'service_account.deleted', toServiceAccount(account))
  return { status: 204 }
}

/**
 * An account's status and bound decide over all of its keys at once, so they are for those who may
 * decide over each: who has all of their scopes, and is not itself bound to another account.
 */
async function requireOverKeys(tx: Tx, call: Call, account: ServiceAccount): Promise<void> {
  const own = await reachOfCaller(tx, call)
  requireScopes(own.scopes, await scopesOfKeys(tx, call.tenantId, account.id))
  if (own.serviceAccountId === null || own.serviceAccountId === account.id) return
  throw problem('key_escalation', { detail: `Your key belongs to ${own.serviceAccountId}.` })
}
