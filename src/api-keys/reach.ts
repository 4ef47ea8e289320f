import type { Scope } from '#generated/routes.ts'
import { problem } from '#http/problem.ts'
import { covers } from '#http/scopes.ts'
import { type AllowList, isWithin } from './allow-list.ts'
import { type ApiKey, effectiveScopes } from './api-key.ts'

/**
 * How far a key *reaches*: what it may do, from where, until when, and with whose account it falls.
 * Nobody makes, widens or takes over what reaches further than they do: otherwise a key that is
 * narrow, short-lived or soon disabled could leave one behind that is none of it.
 */
export interface Reach {
  scopes: readonly Scope[]
  allowedIps: AllowList
  expiresAt: Date | null
  serviceAccountId: string | null
}

/** What the key can do as things stand, its service account's bound included. */
export function reachOf(key: ApiKey): Reach {
  return {
    scopes: effectiveScopes(key),
    allowedIps: key.allowedIps,
    expiresAt: key.expiresAt,
    serviceAccountId: key.serviceAccount?.id ?? null,
  }
}

/** What the key could do if its service account set no bound: what is written down of it. */
export function writtenReachOf(key: ApiKey): Reach {
  return { ...reachOf(key), scopes: key.scopes }
}

/** Throws `scope_escalation` or `key_escalation` when `wanted` reaches further than `own`. */
export function requireWithin(own: Reach, wanted: Reach): void {
  requireScopes(own.scopes, wanted.scopes)
  if (!isWithin(wanted.allowedIps, own.allowedIps)) {
    const from = own.allowedIps.join(', ')
    throw tooFar('/allowedIps', `Your key may only be used from ${from}.`, 'must lie within those')
  }
  if (endsLater(wanted.expiresAt, own.expiresAt)) {
    const end = own.expiresAt?.toISOString()
    throw tooFar('/expiresAt', `Your key expires ${end}.`, 'must be no later than that')
  }
  if (own.serviceAccountId !== null && wanted.serviceAccountId !== own.serviceAccountId) {
    const account = own.serviceAccountId
    throw tooFar('/serviceAccountId', `Your key belongs to ${account}.`, 'must be the same')
  }
}

/** Throws `scope_escalation` when there are scopes in `wanted` that `held` does not cover. */
export function requireScopes(
  held: readonly Scope[],
  wanted: readonly Scope[],
  who = 'Your key',
): void {
  const excess = wanted.filter((scope) => !covers(held, scope))
  if (excess.length === 0) return
  throw problem('scope_escalation', { detail: `${who} lacks ${excess.join(', ')}.` })
}

/** Whether the key could do in any way more than before. */
export function isWider(after: Reach, before: Reach): boolean {
  return (
    after.scopes.some((scope) => !covers(before.scopes, scope)) ||
    !isWithin(after.allowedIps, before.allowedIps) ||
    endsLater(after.expiresAt, before.expiresAt)
  )
}

export function endsLater(end: Date | null, bound: Date | null): boolean {
  return bound !== null && (end === null || end > bound)
}

function tooFar(pointer: string, detail: string, message: string) {
  return problem('key_escalation', { detail, errors: [{ pointer, code: 'too_far', message }] })
}
