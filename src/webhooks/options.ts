import type { WebhookEndpointInfo, WebhookEndpointPatch } from '#generated/types.ts'
import { toRetryPolicy } from './retry-policy.ts'

/** How an endpoint wants to be told, beside of what. */
export interface DeliveryOptions {
  /** After which delays what failed is tried again; null is as the tenant's settings say. */
  retryDelaysSeconds: readonly number[] | null
}

export const usualOptions: DeliveryOptions = { retryDelaysSeconds: null }

/** What a new endpoint says, or a change; what is absent stays. */
export function patchOptions(
  options: DeliveryOptions,
  { retryPolicy }: Pick<WebhookEndpointPatch, 'retryPolicy'>,
): DeliveryOptions {
  return {
    retryDelaysSeconds:
      retryPolicy === undefined ? options.retryDelaysSeconds : (retryPolicy?.delaysSeconds ?? null),
  }
}

export function toOptions(options: DeliveryOptions): Pick<WebhookEndpointInfo, 'retryPolicy'> {
  return { retryPolicy: toRetryPolicy(options.retryDelaysSeconds) }
}
