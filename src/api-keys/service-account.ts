import type { Scope } from '#generated/routes.ts'
import type {
  ServiceAccountInfo,
  ServiceAccountInput,
  ServiceAccountPatch,
} from '#generated/types.ts'
import type { Id } from '#ids.ts'

/**
 * A *service account* is a program or partner that has several keys. Its status stands above theirs:
 * disabled, none of them works, and enabled, those that are not revoked do again. Its scopes, if it
 * has any, bound what they may do, at once and whatever they were given.
 */
export interface ServiceAccount {
  id: Id<'sva'>
  name: string
  description: string | null
  status: ServiceAccountInfo['status']
  /** What its keys may do at most; null is no bound. */
  scopes: readonly Scope[] | null
  createdAt: Date
  updatedAt: Date
  revision: number
}

export function newServiceAccount(
  id: Id<'sva'>,
  input: ServiceAccountInput,
  now: Date,
): ServiceAccount {
  return {
    id,
    name: input.name,
    description: input.description ?? null,
    status: 'ENABLED',
    scopes: input.scopes ?? null,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

export function patchServiceAccount(
  account: ServiceAccount,
  { name = account.name, description, status = account.status, scopes }: ServiceAccountPatch,
  now: Date,
): ServiceAccount {
  return {
    ...account,
    name,
    description: description === undefined ? account.description : description,
    status,
    scopes: scopes === undefined ? account.scopes : scopes,
    updatedAt: now,
    revision: account.revision + 1,
  }
}

export function toServiceAccount(account: ServiceAccount): ServiceAccountInfo {
  return {
    id: account.id,
    name: account.name,
    description: account.description,
    status: account.status,
    scopes: account.scopes && [...account.scopes],
    createdAt: account.createdAt.toISOString(),
    updatedAt: account.updatedAt.toISOString(),
    revision: account.revision,
  }
}
