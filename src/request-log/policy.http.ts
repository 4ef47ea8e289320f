import { record } from '#audit/record.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { findPolicy, lockPolicy, putPolicy } from './policy.sql.ts'
import { firstPolicy, patchPolicy, toPolicy } from './policy.ts'

export const getRequestLogPolicy: Operation<'getRequestLogPolicy'> = async (
  _ctx,
  call,
  _request,
  db,
) => {
  const policy = (await findPolicy(db, call.tenantId)) ?? firstPolicy
  return { status: 200, body: toPolicy(policy) }
}

export const updateRequestLogPolicy: Operation<'updateRequestLogPolicy'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  const policy = (await lockPolicy(tx, call.tenantId)) ?? firstPolicy
  const patched = patchPolicy(policy, body, call.now)
  const [before, view] = [toPolicy(policy), toPolicy(patched)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  putPolicy(tx, call.tenantId, patched, call.now)
  record(tx, call, 'request_log_policy.updated', call.tenantId, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  return { status: 200, body: view }
}
