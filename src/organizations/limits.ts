import type { LimitsInfo, LimitsPatch } from '#generated/types.ts'
import { type LimitOverrides, limitsWith } from '#http/limit.ts'
import { mergePatch } from '#http/merge-patch.ts'

/** What a tenant may ask other than the usual; revision 1 is the usual. */
export interface TenantLimits {
  overrides: LimitOverrides
  revision: number
}

export function patchLimits(
  { overrides, revision }: TenantLimits,
  patch: LimitsPatch,
): TenantLimits {
  return { overrides: mergePatch(overrides, patch) as LimitOverrides, revision: revision + 1 }
}

export function toLimits({ overrides, revision }: TenantLimits): LimitsInfo {
  return { ...limitsWith(overrides), revision }
}
