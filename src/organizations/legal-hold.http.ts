import { record } from '#audit/record.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { found } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import { findHold, stopErasing, updateHold } from '#retention/hold.sql.ts'
import { patchHold, toHold } from '#retention/hold.ts'
import { findTenant } from './organization.sql.ts'

export const getTenantLegalHold: Operation<'getTenantLegalHold'> = async (
  ctx,
  _call,
  { path },
  db,
) => {
  const tenantId = found(await findTenant(db, path))
  return { status: 200, body: toHold(await findHold(ctx.db.readers.of(tenantId), tenantId)) }
}

export const updateTenantLegalHold: Operation<'updateTenantLegalHold'> = async (
  ctx,
  call,
  { path, headers, body },
  tx,
) => {
  const tenantId = found(await findTenant(tx, path))
  const hold = await findHold(ctx.db.readers.of(tenantId), tenantId)
  requireMatch(headers['if-match'], hold.revision)

  const patched = patchHold(hold, body, call.now)
  const [before, view] = [toHold(hold), toHold(patched)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  await stopErasing(tx)
  const inside = tx.forTenant(tenantId)
  updateHold(inside, patched)
  const change = { before: pick(before, changedFields), after: pick(view, changedFields) }
  // The operators know what they did, and the customer what was done to it.
  for (const house of [tx, inside]) record(house, call, 'tenant.hold_updated', tenantId, change)
  return { status: 200, body: view }
}
