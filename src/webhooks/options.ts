import type {
  WebhookEndpointInfo,
  WebhookEndpointPatch,
  WebhookOrdering,
} from '#generated/types.ts'
import { type Rate, rateOf, toRateLimit } from './rate.ts'
import { toRetryPolicy } from './retry-policy.ts'

/** Attempts at one endpoint that may be under way at once, whatever it asks for. */
export const endpointInFlightMax = 50

/** How an endpoint wants to be told, beside of what. */
export interface DeliveryOptions {
  /** After which delays what failed is tried again; null is as the tenant's settings say. */
  retryDelaysSeconds: readonly number[] | null
  /** Requests to it that may be under way at once, over all workers. */
  inFlightMax: number
  /** Requests that it may get in a time; null is as many as come. */
  rate: Rate | null
  ordering: WebhookOrdering
  /** Several events in one request; null is one each. */
  batching: Batching | null
}

export interface Batching {
  maxEvents: number
  maxWaitSeconds: number
}

export const usualOptions: DeliveryOptions = {
  retryDelaysSeconds: null,
  inFlightMax: 10,
  rate: null,
  ordering: 'NONE',
  batching: null,
}

/** The fields of the contract that say it. */
type Said = 'retryPolicy' | 'inFlightMax' | 'rateLimit' | 'ordering' | 'batching'

/** What a new endpoint says, or a change; what is absent stays. */
export function patchOptions(
  options: DeliveryOptions,
  { retryPolicy, inFlightMax, rateLimit, ordering, batching }: Pick<WebhookEndpointPatch, Said>,
): DeliveryOptions {
  return {
    retryDelaysSeconds:
      retryPolicy === undefined ? options.retryDelaysSeconds : (retryPolicy?.delaysSeconds ?? null),
    inFlightMax: inFlightMax ?? options.inFlightMax,
    rate: rateLimit === undefined ? options.rate : rateOf(rateLimit),
    ordering: ordering ?? options.ordering,
    batching: batching === undefined ? options.batching : batching,
  }
}

export function toOptions(options: DeliveryOptions): Pick<WebhookEndpointInfo, Said> {
  return {
    retryPolicy: toRetryPolicy(options.retryDelaysSeconds),
    inFlightMax: options.inFlightMax,
    rateLimit: toRateLimit(options.rate),
    ordering: options.ordering,
    batching: options.batching,
  }
}
