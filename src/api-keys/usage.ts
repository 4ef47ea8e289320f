import { type Route, routes, type Scope } from '#generated/routes.ts'
import type { ApiKeyUsage } from '#generated/types.ts'
import { covers } from '#http/scopes.ts'

/** How often a key called an operation. */
export interface OperationCalls {
  operationId: string
  calls: number
  lastUsedOn: string
}

const dayMs = 24 * 60 * 60 * 1_000

/** The UTC day `days` days before `now`, as `YYYY-MM-DD`. */
export function dayBefore(now: Date, days: number): string {
  return new Date(now.getTime() - days * dayMs).toISOString().slice(0, 10)
}

/** How many calls needed each of a key's scopes; `*` those that no other of them allows. */
export function callsByScope(
  scopes: readonly Scope[],
  operations: readonly OperationCalls[],
): { scope: Scope; calls: number }[] {
  const named: readonly Scope[] = scopes.filter((scope) => scope !== '*')
  const isNeeded = (scope: Scope, needed: readonly Scope[]) =>
    scope === '*'
      ? needed.some((one) => covers(['*'], one) && !named.includes(one))
      : needed.includes(scope)
  return scopes.map((scope) => {
    const calls = operations
      .filter(({ operationId }) => isNeeded(scope, scopesOf(operationId)))
      .reduce((sum, one) => sum + one.calls, 0)
    return { scope, calls }
  })
}

/** The scopes that an operation needs; none for one that the contract has no longer. */
export function scopesOf(operationId: string): readonly Scope[] {
  const known: Readonly<Record<string, Route>> = routes
  return known[operationId]?.scopes ?? []
}

export function toUsage(
  key: { id: string; scopes: readonly Scope[] },
  span: { since: string; until: string },
  days: readonly { date: string; calls: number }[],
  operations: readonly OperationCalls[],
): ApiKeyUsage {
  const scopes = callsByScope(key.scopes, operations)
  return {
    apiKeyId: key.id,
    ...span,
    calls: days.reduce((sum, day) => sum + day.calls, 0),
    days: [...days],
    operations: operations.map((one) => ({ ...one, scopes: [...scopesOf(one.operationId)] })),
    scopes,
    unusedScopes: scopes.filter(({ calls }) => calls === 0).map(({ scope }) => scope),
  }
}
