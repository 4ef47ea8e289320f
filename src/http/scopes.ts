import type { Scope } from '#generated/routes.ts'

/** Whether `held` allows `scope`: `*` is everything in a tenant, and nothing of the operators'. */
export function covers(held: readonly Scope[], scope: Scope): boolean {
  if (held.includes(scope)) return true
  return held.includes('*') && !/^(organizations|operators):/.test(scope)
}
