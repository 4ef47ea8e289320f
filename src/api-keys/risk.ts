import type { ApiKeyRisk } from '#generated/types.ts'
import type { Principal } from '#http/operation.ts'
import { type ApiKey, effectiveScopes, statusOf } from './api-key.ts'
import { callsByScope, type OperationCalls } from './usage.ts'

/**
 * The *risk* of a key is how much harm it could do if it leaked, and how likely that goes unnoticed.
 * The weights are written down in the contract (`ApiKeyRisk`) and add up to 100 at most.
 */
export interface Risk {
  score: number
  reasons: Reason[]
}

type Reason = ApiKeyRisk['riskReasons'][number]

const writeScopesMany = 5
const unusedAfterDays = 30
const oldSecretDays = 90
const ancientSecretDays = 365

const dayMs = 24 * 60 * 60 * 1_000

/** `operations` are those that the key called in the last 30 days. */
export function riskOf(
  key: ApiKey,
  environment: Principal['environment'],
  operations: readonly OperationCalls[],
  now: Date,
): Risk {
  const status = statusOf(key, now)
  if (status === 'REVOKED' || status === 'EXPIRED') return { score: 0, reasons: [] }
  const reasons = [
    ...breadth(key),
    ...age(key, now),
    ...idleness(key, operations, now),
    ...bounds(key),
  ].map((reason) => (environment === 'SANDBOX' ? halved(reason) : reason))
  reasons.sort((a, b) => b.weight - a.weight || (a.code < b.code ? -1 : 1))
  return { score: reasons.reduce((sum, { weight }) => sum + weight, 0), reasons }
}

/** What leaks from a sandbox is not real. */
function halved(reason: Reason): Reason {
  return { ...reason, weight: Math.ceil(reason.weight / 2) }
}

function breadth(key: ApiKey): Reason[] {
  const scopes = effectiveScopes(key)
  if (scopes.includes('*')) {
    return [{ code: 'ALL_SCOPES', weight: 35, message: 'The key may do everything.' }]
  }
  const reasons: Reason[] = []
  const writes = scopes.filter((scope) => scope.endsWith(':write'))
  if (writes.length >= writeScopesMany) {
    const message = `The key has ${writes.length} scopes to write.`
    reasons.push({ code: 'MANY_WRITE_SCOPES', weight: 15, message })
  }
  if (writes.some((scope) => scope === 'api_keys:write' || scope === 'service_accounts:write')) {
    const message = 'The key can make, widen and revoke keys.'
    reasons.push({ code: 'MANAGES_KEYS', weight: 15, message })
  }
  return reasons
}

function age(key: ApiKey, now: Date): Reason[] {
  const days = daysSince(key.rotatedAt ?? key.createdAt, now)
  if (days < oldSecretDays) return []
  const weight = days < ancientSecretDays ? 10 : 20
  return [{ code: 'OLD_SECRET', weight, message: `The secret is ${days} days old.` }]
}

function idleness(key: ApiKey, operations: readonly OperationCalls[], now: Date): Reason[] {
  if (daysSince(key.createdAt, now) < unusedAfterDays) return []
  if (daysSince(key.lastUse?.at ?? key.createdAt, now) >= unusedAfterDays) {
    const message = `The key has not been used for ${unusedAfterDays} days or more.`
    return [{ code: 'UNUSED', weight: 15, message }]
  }
  const unused = callsByScope(key.scopes, operations).filter(({ calls }) => calls === 0)
  if (unused.length === 0) return []
  const message = `In ${unusedAfterDays} days no call needed ${unused.length} of its scopes.`
  return [{ code: 'UNUSED_SCOPES', weight: 10, message }]
}

function bounds({ expiresAt, allowedIps }: ApiKey): Reason[] {
  const reasons: Reason[] = []
  if (expiresAt === null) {
    reasons.push({ code: 'NO_EXPIRY', weight: 15, message: 'The key never expires.' })
  }
  if (allowedIps.length === 0) {
    const message = 'The key may be used from any address.'
    reasons.push({ code: 'NO_ALLOW_LIST', weight: 15, message })
  }
  return reasons
}

function daysSince(moment: Date, now: Date): number {
  return Math.floor((now.getTime() - moment.getTime()) / dayMs)
}
