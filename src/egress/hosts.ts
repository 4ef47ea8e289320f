import type { EgressPolicy, EgressPolicyPatch } from '#generated/types.ts'

/**
 * To which hosts anything goes out for a tenant: names, and `*.suffix` for every name below one. No
 * list (null) is any public host; an empty one is none. The address guard holds in any case.
 */
export type AllowedHosts = readonly string[] | null

export interface HostPolicy {
  readonly allowedHosts: AllowedHosts
  readonly revision: number
}

/** Everybody begins with no list. */
export const usualPolicy: HostPolicy = { allowedHosts: null, revision: 1 }

export function patchPolicy(policy: HostPolicy, { allowedHosts }: EgressPolicyPatch): HostPolicy {
  const { revision } = policy
  if (allowedHosts === undefined) return policy
  return { allowedHosts, revision: revision + 1 }
}

export function toPolicy({ allowedHosts, revision }: HostPolicy): EgressPolicy {
  return { allowedHosts: allowedHosts && [...allowedHosts], revision }
}

/** Whether a URL leads to a host of the list; one that cannot be read leads to none. */
export function allowsUrl(allowed: AllowedHosts, url: string): boolean {
  if (allowed === null) return true
  const host = URL.parse(url)?.hostname.toLowerCase()
  return host !== undefined && allowed.some((pattern) => fits(pattern, host))
}

function fits(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host
  const suffix = pattern.slice(1)
  return host.endsWith(suffix) && host.length > suffix.length
}

export const notAllowed = 'is on a host that your egress policy does not allow'
