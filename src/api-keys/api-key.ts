import type { Scope } from '#generated/routes.ts'
import type { ApiKeyInfo, ApiKeyInput, ApiKeyPatch, ApiKeyStatus } from '#generated/types.ts'
import type { Principal } from '#http/operation.ts'
import { covers } from '#http/scopes.ts'
import type { Id } from '#ids.ts'
import type { AllowList } from './allow-list.ts'
import type { ServiceAccount } from './service-account.ts'

/**
 * An *API key* opens one tenant, for some scopes, from some addresses, until it expires or is
 * revoked. What its bearer shows is its *secret*; we keep a keyed hash. Rotating gives the same key
 * a new secret, and the old one works on for an overlap, so that callers can change over without a
 * gap.
 */
export interface ApiKey {
  id: Id<'key'>
  name: string
  /** The first characters of the current secret. */
  prefix: string
  scopes: readonly Scope[]
  /** Canonical; empty is from anywhere. */
  allowedIps: AllowList
  serviceAccount: KeyAccount | null
  expiresAt: Date | null
  /** When it got its present secret; null while that is the first. */
  rotatedAt: Date | null
  /** The end of the overlap of the secret before the present one. */
  previousExpiresAt: Date | null
  revokedAt: Date | null
  lastUse: LastUse | null
  createdAt: Date
  updatedAt: Date
  revision: number
}

/** What a key takes from its service account: whether it works, and what it may do at most. */
export type KeyAccount = Pick<ServiceAccount, 'id' | 'name' | 'status' | 'scopes'>

/** When a key last opened the door, as far as the processes have written it down. */
export interface LastUse {
  at: Date
  ip: string | null
  /** The last time with a secret that was rotated out. */
  previousSecretAt: Date | null
}

/** What of a new key is not in its input. */
export interface KeyBirth {
  id: Id<'key'>
  prefix: string
  allowedIps: AllowList
  serviceAccount: KeyAccount | null
  now: Date
}

export function newApiKey(
  { name, scopes, expiresAt }: Pick<ApiKeyInput, 'name' | 'scopes' | 'expiresAt'>,
  { id, prefix, allowedIps, serviceAccount, now }: KeyBirth,
): ApiKey {
  return {
    id,
    name,
    prefix,
    scopes,
    allowedIps,
    serviceAccount,
    expiresAt: expiresAt === undefined ? null : new Date(expiresAt),
    rotatedAt: null,
    previousExpiresAt: null,
    revokedAt: null,
    lastUse: null,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

/** `allowedIps` is the patch's list in canonical form; undefined leaves the key's. */
export function patchApiKey(
  key: ApiKey,
  patch: ApiKeyPatch,
  allowedIps: AllowList = key.allowedIps,
  now: Date,
): ApiKey {
  const { name = key.name, scopes = key.scopes } = patch
  return changed({ ...key, name, scopes, allowedIps, expiresAt: patchedExpiry(key, patch) }, now)
}

function patchedExpiry(key: ApiKey, { expiresAt }: ApiKeyPatch): Date | null {
  if (expiresAt === undefined) return key.expiresAt
  return expiresAt === null ? null : new Date(expiresAt)
}

export function rotateApiKey(
  key: ApiKey,
  prefix: string,
  previousExpiresAt: Date,
  now: Date,
): ApiKey {
  return changed({ ...key, prefix, rotatedAt: now, previousExpiresAt }, now)
}

export function revokeApiKey(key: ApiKey, now: Date): ApiKey {
  return changed({ ...key, revokedAt: now }, now)
}

function changed(key: ApiKey, now: Date): ApiKey {
  return { ...key, updatedAt: now, revision: key.revision + 1 }
}

type Standing = Pick<ApiKey, 'expiresAt' | 'revokedAt'> & {
  serviceAccount: Pick<KeyAccount, 'status'> | null
}

export function statusOf(key: Standing, now: Date): ApiKeyStatus {
  if (key.revokedAt !== null) return 'REVOKED'
  if (key.expiresAt !== null && key.expiresAt <= now) return 'EXPIRED'
  return key.serviceAccount?.status === 'DISABLED' ? 'DISABLED' : 'ACTIVE'
}

/** What the key may really do: its scopes, within those that its service account may have. */
export function effectiveScopes({
  scopes,
  serviceAccount,
}: Pick<ApiKey, 'scopes' | 'serviceAccount'>): readonly Scope[] {
  const bound = serviceAccount?.scopes ?? null
  if (bound === null) return scopes
  const allowed = scopes.filter((scope) => covers(bound, scope))
  return [...allowed, ...bound.filter((scope) => !allowed.includes(scope) && covers(scopes, scope))]
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
    allowedIps: [...key.allowedIps],
    serviceAccountId: key.serviceAccount?.id ?? null,
    expiresAt: key.expiresAt?.toISOString() ?? null,
    rotatedAt: key.rotatedAt?.toISOString() ?? null,
    previousSecret: previousSecretOf(key, now),
    lastUsedAt: key.lastUse?.at.toISOString() ?? null,
    lastUsedIp: key.lastUse?.ip ?? null,
    createdAt: key.createdAt.toISOString(),
    updatedAt: key.updatedAt.toISOString(),
    revision: key.revision,
  }
}

/** The secret before the present one, until its overlap is over. */
function previousSecretOf(
  { previousExpiresAt, rotatedAt, revokedAt, lastUse }: ApiKey,
  now: Date,
): ApiKeyInfo['previousSecret'] {
  if (previousExpiresAt === null || previousExpiresAt <= now || revokedAt !== null) return null
  const usedAt = lastUse?.previousSecretAt ?? null
  // A use before the rotation was of a secret before that one.
  const isSince = usedAt !== null && rotatedAt !== null && usedAt >= rotatedAt
  return {
    expiresAt: previousExpiresAt.toISOString(),
    lastUsedAt: isSince ? usedAt.toISOString() : null,
  }
}
