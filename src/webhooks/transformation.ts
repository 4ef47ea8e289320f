import { type Problem, problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { transformer } from './transformer.ts'

/** An expression is read before it is kept; one that cannot be is refused (`invalid_request`). */
export async function requireReadable(
  tenantId: TenantId,
  expression: string | null | undefined,
): Promise<void> {
  if (expression === null || expression === undefined) return
  if (expression.includes('\0') || !expression.isWellFormed()) {
    throw unreadable('holds characters that no text may hold')
  }
  // Parsed in a thread too: how long that takes is up to whoever wrote it.
  const read = await transformer.run(tenantId, { expression, event: null })
  if (read.kind === 'busy') throw problem('unavailable', { detail: read.detail })
  if (read.kind !== 'made') throw unreadable(`is no JSONata that we can read: ${read.detail}`)
}

function unreadable(message: string): Problem {
  return problem('invalid_request', {
    detail: `/transformation ${message}`,
    errors: [{ pointer: '/transformation', code: 'unreadable', message: message.slice(0, 500) }],
  })
}
