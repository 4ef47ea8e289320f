import { record } from '#audit/record.ts'
import type { Db } from '#db/database.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { requireMatch } from '#http/revision.ts'
import { findHold } from './hold.sql.ts'
import { findPolicy, updatePolicy } from './policy.sql.ts'
import { patchPolicy, toPolicy } from './policy.ts'

export const getRetentionPolicy: Operation<'getRetentionPolicy'> = async (
  _ctx,
  call,
  _request,
  db,
) => {
  const { policy, hold } = await findBoth(db, call)
  return { status: 200, body: toPolicy(policy, hold) }
}

export const updateRetentionPolicy: Operation<'updateRetentionPolicy'> = async (
  _ctx,
  call,
  { headers, body },
  tx,
) => {
  const { policy, hold } = await findBoth(tx, call)
  const patched = patchPolicy(policy, body)
  const [before, view] = [toPolicy(policy, hold), toPolicy(patched, hold)]
  requireMatch(headers['if-match'], before.revision)
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updatePolicy(tx, patched, call.now)
  record(tx, call, 'retention_policy.updated', call.tenantId, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  return { status: 200, body: view }
}

async function findBoth(db: Db, { tenantId }: Call) {
  const [policy, hold] = await Promise.all([findPolicy(db, tenantId), findHold(db, tenantId)])
  return { policy, hold }
}
