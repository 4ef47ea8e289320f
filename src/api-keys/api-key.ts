import type { Scope } from '#generated/routes.ts'
import type { ApiKeyInfo, ApiKeyInput, ApiKeyPatch, ApiKeyStatus } from '#generated/types.ts'
import type { Principal } from '#http/operation.ts'
import { covers } from '#http/scopes.ts'
import type { Id } from '#ids.ts'

/**
 * An *API key* opens one tenant, for some scopes, until it expires or is revoked. What its bearer
 * shows is its *secret*; we keep a keyed hash. Rotating gives the same key a new secret, and the
 * old one works on for an overlap, so that callers can change over without a gap.
 */
export interface ApiKey {
  id: Id<'key'>
  name: string
  /** The first characters of the current secret. */
  prefix: string
  scopes: readonly Scope[]
  expiresAt: Date | null
  revokedAt: Date | null
  createdAt: Date
  updatedAt: Date
  revision: number
}

export function newApiKey(id: Id<'key'>, input: ApiKeyInput, prefix: string, now: Date): ApiKey {
  return {
    id,
    name: input.name,
    prefix,
    scopes: input.scopes,
    expiresAt: input.expiresAt === undefined ? null : new Date(input.expiresAt),
    revokedAt: null,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

export function patchApiKey(key: ApiKey, patch: ApiKeyPatch, now: Date): ApiKey {
  const { name = key.name, scopes = key.scopes } = patch
  return changed({ ...key, name, scopes, expiresAt: patchedExpiry(key, patch) }, now)
}

function patchedExpiry(key: ApiKey, { expiresAt }: ApiKeyPatch): Date | null {
  if (expiresAt === undefined) return key.expiresAt
  return expiresAt === null ? null : new Date(expiresAt)
}

export function rotateApiKey(key: ApiKey, prefix: string, now: Date): ApiKey {
  return changed({ ...key, prefix }, now)
}

export function revokeApiKey(key: ApiKey, now: Date): ApiKey {
  return changed({ ...key, revokedAt: now }, now)
}

function changed(key: ApiKey, now: Date): ApiKey {
  return { ...key, updatedAt: now, revision: key.revision + 1 }
}

export function statusOf(key: Pick<ApiKey, 'expiresAt' | 'revokedAt'>, now: Date): ApiKeyStatus {
  if (key.revokedAt !== null) return 'REVOKED'
  return key.expiresAt !== null && key.expiresAt <= now ? 'EXPIRED' : 'ACTIVE'
}

export function toApiKey(
  key: ApiKey,
  environment: Principal['environment'],
  now: Date,
): ApiKeyInfo {
  return {
    id: key.id,
    name: key.name,
    prefix: key.prefix,
    status: statusOf(key, now),
    scopes: [...key.scopes],
    environment,
    expiresAt: key.expiresAt?.toISOString() ?? null,
    createdAt: key.createdAt.toISOString(),
    updatedAt: key.updatedAt.toISOString(),
    revision: key.revision,
  }
}

/** The scopes among `wanted` that a holder of `held` may not give: nobody gives what they lack. */
export function excessScopes(wanted: readonly Scope[], held: readonly Scope[]): Scope[] {
  return wanted.filter((scope) => !covers(held, scope))
}
