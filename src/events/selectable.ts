import type { Db } from '#db/database.ts'
import { parameterError } from '#http/field-errors.ts'
import { problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { findSelectable } from './own-type.sql.ts'
import { type SelectorPlace, straySelectors } from './selector.ts'

/** Of the parameter `eventType`, which is given once for each. */
export const inQuery: SelectorPlace = (at, code, message) =>
  parameterError('query', 'eventType', code, `item ${at} ${message}`)

/** Refuses selectors that select no type of event (`invalid_request`), where `place` says they stand. */
export async function requireSelectable(
  db: Db,
  tenantId: TenantId,
  selectors: readonly string[] = [],
  place?: SelectorPlace,
): Promise<void> {
  const errors = straySelectors(selectors, await findSelectable(db, tenantId, selectors), place)
  const [first] = errors
  if (first === undefined) return
  const where = first.pointer ?? first.parameter
  throw problem('invalid_request', { detail: `${where} ${first.message}.`, errors })
}
