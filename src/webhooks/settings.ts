import type { WebhookSettings as SettingsInfo, WebhookSettingsPatch } from '#generated/types.ts'
import { toRetryPolicy } from './retry-policy.ts'

/** What holds for a tenant's endpoints that do not say otherwise; revision 1 is the usual. */
export interface WebhookSettings {
  /** After which delays what failed is tried again; null is the usual schedule. */
  retryDelaysSeconds: readonly number[] | null
  revision: number
}

export const usualSettings: WebhookSettings = { retryDelaysSeconds: null, revision: 1 }

export function patchSettings(
  settings: WebhookSettings,
  { retryPolicy }: WebhookSettingsPatch,
): WebhookSettings {
  const { retryDelaysSeconds, revision } = settings
  return {
    retryDelaysSeconds:
      retryPolicy === undefined ? retryDelaysSeconds : (retryPolicy?.delaysSeconds ?? null),
    revision: revision + 1,
  }
}

export function toSettings({ retryDelaysSeconds, revision }: WebhookSettings): SettingsInfo {
  return { retryPolicy: toRetryPolicy(retryDelaysSeconds), revision }
}
