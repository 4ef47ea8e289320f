import type { Db } from '#db/database.ts'
import { type ProblemFace, problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { findEndpoint } from './endpoint.sql.ts'
import type { Endpoint } from './endpoint.ts'

/**
 * The endpoints that a body names in `endpointIds`, each of which can be told something now. Throws
 * `reference_unknown` and `endpoint_disabled`, which say where the first stands that cannot.
 */
export async function requireEndpoints(
  db: Db,
  tenantId: TenantId,
  endpointIds: readonly string[],
): Promise<Endpoint[]> {
  const endpoints: Endpoint[] = []
  for (const [index, id] of endpointIds.entries()) {
    const endpoint = await findEndpoint(db, tenantId, id)
    const pointer = `/endpointIds/${index}`
    if (endpoint === undefined) throw problem('reference_unknown', at(pointer, 'names no endpoint'))
    if (endpoint.status === 'DISABLED') {
      throw problem('endpoint_disabled', at(pointer, 'is disabled'))
    }
    endpoints.push(endpoint)
  }
  return endpoints
}

/** What is wrong at a place of the body. */
export function at(pointer: string, message: string): ProblemFace {
  return { detail: `${pointer} ${message}.`, errors: [{ pointer, code: 'refused', message }] }
}
