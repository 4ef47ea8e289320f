import { record } from '#audit/record.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { requireMatch } from '#http/revision.ts'
import { patchPolicy, toPolicy } from './hosts.ts'
import { findPolicy, updatePolicy } from './policy.sql.ts'

export const getEgressPolicy: Operation<'getEgressPolicy'> = async (_ctx, call, _request, db) => {
  return { status: 200, body: toPolicy(await findPolicy(db, call.tenantId)) }
}

export const updateEgressPolicy: Operation<'updateEgressPolicy'> = async (
  _ctx,
  call,
  { headers, body },
  tx,
) => {
  const policy = await findPolicy(tx, call.tenantId)
  const patched = patchPolicy(policy, body)
  const [before, view] = [toPolicy(policy), toPolicy(patched)]
  requireMatch(headers['if-match'], before.revision)
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updatePolicy(tx, patched, call.now)
  record(tx, call, 'egress_policy.updated', call.tenantId, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  return { status: 200, body: view }
}
