import type { Scope } from '#generated/routes.ts'
import type { ApiSecurityAuditEvent } from '#generated/types.ts'
import { covers } from '#http/scopes.ts'
import type { Id } from '#ids.ts'
import { isWithin } from './allow-list.ts'
import type { ApiKey } from './api-key.ts'
import { endsLater } from './reach.ts'
import { hourOf, type Refusals } from './tally.ts'
import type { Refusal } from './verified.ts'

/**
 * A *security event* is what whoever guards the keys of a tenant wants to know. What was done to a
 * key is told once for each deed; what was refused with a key is added up by key, kind and hour,
 * so that a program that knocks all day does not drown the rest.
 */
export interface SecurityEvent {
  id: Id<'sec'>
  kind: ApiSecurityAuditEvent['kind']
  severity: ApiSecurityAuditEvent['severity']
  apiKeyId: string
  ip: string | null
  count: number
  occurredAt: Date
  /** For what is added up: which hour. */
  hour: Date | null
  reasons: readonly string[]
}

export type Deed = Exclude<SecurityEvent['kind'], Refusal>

/** What was done to a key; `before` is the key as it was, when it was. */
export function deedEvent(
  id: Id<'sec'>,
  kind: Deed,
  { ip, now }: { ip: string | null; now: Date },
  after: ApiKey,
  before?: ApiKey,
): SecurityEvent {
  const reasons = kind === 'KEY_CREATED' || kind === 'KEY_UPDATED' ? widenings(after, before) : []
  return {
    id,
    kind,
    severity: reasons.length > 0 ? 'MEDIUM' : 'LOW',
    apiKeyId: after.id,
    ip,
    count: 1,
    occurredAt: now,
    hour: null,
    reasons,
  }
}

const sweeping: readonly Scope[] = ['*', 'api_keys:write', 'service_accounts:write']

/** In what way a key can do more than before, as far as that is worth a look. */
function widenings(after: ApiKey, before: ApiKey | undefined): string[] {
  const reasons: string[] = []
  if (before === undefined) {
    const swept = after.scopes.filter((scope) => sweeping.includes(scope))
    return swept.length > 0 ? [`It has ${swept.join(' and ')}.`] : []
  }
  const gained = after.scopes.filter((scope) => !covers(before.scopes, scope))
  if (gained.length > 0) reasons.push(sentence(`It got ${gained.join(', ')}`))
  if (!isWithin(after.allowedIps, before.allowedIps)) {
    reasons.push('It may be used from more addresses than before.')
  }
  if (endsLater(after.expiresAt, before.expiresAt)) {
    const end = after.expiresAt === null ? 'never' : `on ${after.expiresAt.toISOString()}`
    reasons.push(`It ends later than before: ${end}.`)
  }
  return reasons
}

/** A tenant's key has few scopes, but all of them would be too long to read. */
function sentence(text: string): string {
  return text.length < 300 ? `${text}.` : `${text.slice(0, 298)}…`
}

/** How soon somebody should look, and why. */
const refusals: Record<Refusal, [severity: SecurityEvent['severity'], reason: string]> = {
  KEY_REFUSED_REVOKED: ['HIGH', 'The key is revoked, and somebody still has it.'],
  KEY_REFUSED_IP: ['HIGH', 'The key was used from an address that is not on its allow-list.'],
  KEY_REFUSED_ROTATED: ['MEDIUM', 'The secret is rotated out, and some program still has it.'],
  KEY_REFUSED_DISABLED: ['MEDIUM', 'The service account is disabled, and the key is in use.'],
  KEY_REFUSED_EXPIRED: ['LOW', 'The key has expired, and some program still uses it.'],
}

/** What was refused, as the first of its hour. */
export function refusalEvent(id: Id<'sec'>, refused: Refusals): SecurityEvent {
  const { kind, keyId, ip, count, firstAt } = refused
  const [severity, reason] = refusals[kind]
  return {
    id,
    kind,
    severity,
    apiKeyId: keyId,
    ip,
    count,
    occurredAt: firstAt,
    hour: hourOf(firstAt),
    reasons: [reason],
  }
}

export function toSecurityEvent(event: SecurityEvent): ApiSecurityAuditEvent {
  return {
    id: event.id,
    kind: event.kind,
    severity: event.severity,
    apiKeyId: event.apiKeyId,
    ip: event.ip,
    count: event.count,
    occurredAt: event.occurredAt.toISOString(),
    reasons: [...event.reasons],
  }
}
