import type { Cause, Principal } from '#http/operation.ts'
import { operatorTenantId } from '#ids.ts'
import { maskedJson } from './mask.ts'
import type { Observed } from './observed.sql.ts'

/** A key that was not let in: why, at which operation, and whose it is where that is known. */
export interface Refusal {
  code: string
  operation: string
  principal: Principal | undefined
}

/** Equal refusals within so long are one entry with a count. */
export const windowMs = 60_000

/** Refusals that are counted apart at one time; who sends more kinds of junk is not told apart. */
const windowsMax = 1_000

interface Window {
  entry: Omit<Observed, 'details'>
  refusal: Refusal
  openedMs: number
  lastAt: Date
  count: number
}

/**
 * Counts refusals by key, address and reason. A flood from one place is one entry a minute; a flood
 * from everywhere is as many as there are windows, and the rest is only counted (`dropped`).
 */
export function countRefusals(newId: () => string, onDropped: () => void) {
  const windows = new Map<string, Window>()

  function add(cause: Omit<Cause, 'actor'>, refusal: Refusal): void {
    const { principal, code } = refusal
    const name = [principal?.key.id ?? '', code, cause.ip].join(' ')
    const known = windows.get(name)
    if (known) {
      known.count += 1
      known.lastAt = cause.now
      return
    }
    if (windows.size >= windowsMax) {
      onDropped()
      return
    }
    windows.set(name, {
      entry: entryOf(newId(), cause, principal),
      refusal,
      openedMs: cause.now.getTime(),
      lastAt: cause.now,
      count: 1,
    })
  }

  /** The entries of the windows that are over; of all, in the end. */
  function take(now: Date, isTheEnd: boolean): Observed[] {
    const over: Observed[] = []
    for (const [name, window] of windows) {
      if (!isTheEnd && now.getTime() - window.openedMs < windowMs) continue
      windows.delete(name)
      over.push({ ...window.entry, details: detailsOf(window) })
    }
    return over
  }

  return { add, take }
}

/** Of a key that nobody knows nothing is kept: it may be somebody's password. */
function entryOf(id: string, cause: Omit<Cause, 'actor'>, principal: Principal | undefined) {
  const { requestId, correlationId, ip } = cause
  const isOperator = principal?.tenantId === operatorTenantId
  return {
    tenantId: principal?.tenantId ?? operatorTenantId,
    id,
    action: 'api_key.refused',
    resourceId: principal?.key.id ?? null,
    actorType: principal ? (isOperator ? 'OPERATOR' : 'API_KEY') : 'ANONYMOUS',
    actorId: principal?.key.id ?? 'unknown',
    requestId,
    correlationId,
    ip,
  }
}

function detailsOf({ refusal, count, lastAt }: Window): string {
  const { code, operation, principal } = refusal
  return maskedJson({ code, operation, prefix: principal?.key.prefix, count, lastAt })
}
