import { announceChange } from '#api-keys/key-change.sql.ts'
import { record } from '#audit/record.ts'
import { routes } from '#generated/routes.ts'
import type { LimitsPatch } from '#generated/types.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import { findLimits, updateLimits } from './limits.sql.ts'
import { patchLimits, toLimits } from './limits.ts'
import { findTenant } from './organization.sql.ts'

export const getLimits: Operation<'getLimits'> = async (_ctx, call, _request, db) => {
  return { status: 200, body: toLimits(await findLimits(db, call.tenantId)) }
}

export const getTenantLimits: Operation<'getTenantLimits'> = async (ctx, _call, { path }, db) => {
  const tenantId = found(await findTenant(db, path))
  const limits = await findLimits(ctx.db.readers.of(tenantId), tenantId)
  return { status: 200, body: toLimits(limits) }
}

export const updateTenantLimits: Operation<'updateTenantLimits'> = async (
  ctx,
  call,
  { path, headers, body },
  tx,
) => {
  const tenantId = found(await findTenant(tx, path))
  const limits = await findLimits(ctx.db.readers.of(tenantId), tenantId)
  requireMatch(headers['if-match'], limits.revision)
  requireOperations(body)

  const patched = patchLimits(limits, body)
  const [before, view] = [toLimits(limits), toLimits(patched)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  const inside = tx.forTenant(tenantId)
  updateLimits(inside, patched, call.now)
  announceChange(inside, tenantId, call.now)
  const change = { before: pick(before, changedFields), after: pick(view, changedFields) }
  // The operators know what they did, and the customer what was done to it.
  for (const house of [tx, inside]) record(house, call, 'tenant.limits_updated', tenantId, change)
  return { status: 200, body: view }
}

/** A quota for an operation that does not exist would be a limit that never holds. */
function requireOperations({ operations = {} }: LimitsPatch): void {
  const unknown = Object.keys(operations).find((name) => !Object.hasOwn(routes, name))
  if (unknown === undefined) return
  throw problem('invalid_request', {
    errors: [{ pointer: `/operations/${unknown}`, code: 'unknown', message: 'is no operation' }],
  })
}
