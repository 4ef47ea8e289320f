import type { Db } from '#db/database.ts'
import type { FieldError } from '#http/field-errors.ts'
import { type Problem, problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { findHead } from './head.sql.ts'

/** Refuses a position that was not given yet. */
export async function requireGiven(
  db: Db,
  tenantId: TenantId,
  position: number,
  place: PositionPlace,
): Promise<void> {
  // That is before all of them.
  if (position === 0) return
  const head = await findHead(db, tenantId)
  if (position > head) throw beyond(place, head)
}

/** Where a request names a position. */
export type PositionPlace = Pick<FieldError, 'pointer' | 'parameter' | 'header'>

/** The refusal of a position behind the last one that it may be: it is one of another feed. */
export function beyond(place: PositionPlace, last: number): Problem {
  return problem('invalid_request', {
    detail: `The last position there is ${last}.`,
    errors: [{ ...place, code: 'maximum', message: `must not be more than ${last}` }],
  })
}
