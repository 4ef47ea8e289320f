import type { Route } from '#generated/routes.ts'
import type { LimitsInfo } from '#generated/types.ts'

/*
 * A *policy* gives a quota, in units of cost, that comes back evenly over a window. A *bucket* is one
 * caller's account under one policy: each key has one for reading and one for writing, each tenant
 * likewise, and an operation may have one of its own.
 */
export interface Policy {
  name: string
  quota: number
  windowSeconds: number
}

export type Limits = Omit<LimitsInfo, 'revision'>

const perKey = { quota: 2_000, windowSeconds: 10 }
const perTenant = { quota: 10_000, windowSeconds: 10 }

/** What everybody may ask who was given no other limits. */
export const usualLimits: Limits = {
  key: { read: perKey, write: perKey },
  tenant: { read: perTenant, write: perTenant },
  operations: {},
  concurrent: 64,
}

/** What differs from the usual limits, as an operator set it. */
export interface LimitOverrides {
  key?: Partial<Limits['key']>
  tenant?: Partial<Limits['tenant']>
  operations?: Limits['operations']
  concurrent?: number
}

export function limitsWith(overrides: LimitOverrides | null): Limits {
  if (overrides === null) return usualLimits
  return {
    key: { ...usualLimits.key, ...overrides.key },
    tenant: { ...usualLimits.tenant, ...overrides.tenant },
    operations: { ...overrides.operations },
    concurrent: overrides.concurrent ?? usualLimits.concurrent,
  }
}

/** What a call of an operation is held against: its buckets, and the calls at the same time. */
export interface Quotas {
  buckets: readonly Bucket[]
  concurrent: number
  /** `RateLimit-Policy`. */
  text: string
}

const known = new WeakMap<Limits | LimitOverrides, Map<string, Quotas>>()

/** The quotas of an operation under a tenant's limits; made once for each that is cached. */
export function quotasFor(
  route: Pick<Route, 'operationId' | 'kind'>,
  overrides: LimitOverrides | null,
): Quotas {
  const owner = overrides ?? usualLimits
  const made = known.get(owner) ?? new Map<string, Quotas>()
  known.set(owner, made)
  const quotas = made.get(route.operationId) ?? newQuotas(route, limitsWith(overrides))
  made.set(route.operationId, quotas)
  return quotas
}

function newQuotas(route: Pick<Route, 'operationId' | 'kind'>, limits: Limits): Quotas {
  const buckets = bucketsFor(route, limits)
  const { concurrent } = limits
  return { buckets, concurrent, text: policiesText(buckets, concurrent) }
}

/** A policy and whose account it is kept in: a key's, or the tenant's. */
export interface Bucket {
  policy: Policy
  holder: 'key' | 'tenant'
}

/** The buckets that a call of an operation is counted in. */
export function bucketsFor(
  { operationId, kind }: Pick<Route, 'operationId' | 'kind'>,
  { key, tenant, operations }: Limits,
): Bucket[] {
  const own = operations[operationId]
  return [
    { holder: 'key', policy: { name: kind, ...key[kind] } },
    { holder: 'tenant', policy: { name: `tenant-${kind}`, ...tenant[kind] } },
    ...(own ? [{ holder: 'tenant', policy: { name: operationId, ...own } } as const] : []),
  ]
}

export type Verdict =
  | { isAllowed: true; nextMs: number }
  | { isAllowed: false; retryAfterMs: number }

/**
 * The generic cell rate algorithm. All the state of a bucket is one moment, `arrivalMs`, at which
 * nothing of its quota is spent any more; a call moves it on by its cost, if it stays within the
 * window. Answers the new moment, or how long to wait.
 */
export function judge(
  arrivalMs: number,
  nowMs: number,
  policy: Omit<Policy, 'name'>,
  cost: number,
): Verdict {
  const startMs = Math.max(arrivalMs, nowMs)
  const nextMs = startMs + msOf(cost, policy)
  const overMs = nextMs - nowMs - windowMsOf(policy)
  // A full bucket lets any one call through, also one that costs more than there can ever be.
  if (overMs > 1e-6 && startMs > nowMs) return { isAllowed: false, retryAfterMs: overMs }
  return { isAllowed: true, nextMs }
}

/** No call costs more. */
const costMax = 100

/**
 * The moment as it can be: what lies further ahead than twice what a window and the dearest call
 * take was written by a clock since set back. A call can cost many times a small quota.
 */
export function plausible(arrivalMs: number, nowMs: number, policy: Omit<Policy, 'name'>): number {
  const aheadMs = windowMsOf(policy) + msOf(costMax, policy)
  return arrivalMs > nowMs + 2 * aheadMs ? nowMs : arrivalMs
}

/** How long it takes for `cost` to come back. */
export function msOf(cost: number, { quota, windowSeconds }: Omit<Policy, 'name'>): number {
  return (cost * windowSeconds * 1_000) / quota
}

export function windowMsOf({ windowSeconds }: Omit<Policy, 'name'>): number {
  return windowSeconds * 1_000
}

/** What is left of a quota, in units of cost. */
export function restOf(arrivalMs: number, nowMs: number, policy: Omit<Policy, 'name'>): number {
  const spentMs = Math.max(arrivalMs - nowMs, 0)
  const rest = policy.quota - (spentMs * policy.quota) / windowMsOf(policy)
  return Math.max(Math.floor(rest + 1e-6), 0)
}

/** `RateLimit-Policy`, by draft-ietf-httpapi-ratelimit-headers-11. */
export function policiesText(buckets: readonly Bucket[], concurrent: number): string {
  const timed = buckets.map(({ policy: { name, quota, windowSeconds } }) => {
    return `"${name}";q=${quota};w=${windowSeconds}`
  })
  return [...timed, `"${concurrentPolicy}";q=${concurrent};qu="concurrent-requests"`].join(', ')
}

export const concurrentPolicy = 'concurrent'

/** `RateLimit`: what is left, and in how many seconds all of it is back. */
export function restsText(
  rests: readonly { name: string; rest: number; resetMs: number }[],
): string {
  return rests
    .map(({ name, rest, resetMs }) => `"${name}";r=${rest};t=${Math.ceil(resetMs / 1_000)}`)
    .join(', ')
}
