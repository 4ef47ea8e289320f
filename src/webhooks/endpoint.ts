import type {
  DeliveryChannel,
  WebhookEndpointInfo,
  WebhookEndpointInput,
  WebhookEndpointPatch,
  WebhookSignatureScheme,
} from '#generated/types.ts'
import type { Id } from '#ids.ts'
import { type CustomHeader, toCustomHeaders } from './custom-header.ts'
import type { Filter } from './filter.ts'
import { type DeliveryOptions, patchOptions, toOptions, usualOptions } from './options.ts'
import { firstSecretId, type SecretHistory, toSigningSecrets } from './secret.ts'

/**
 * An event happens once; a *delivery* is our promise to tell one *endpoint* about it; an *attempt*
 * is one try. Promised: at least once, with the event's id as a stable `webhook-id`. Not promised:
 * order, but for an endpoint that asks for it. A disabled endpoint is not written to, and what it would have been told is held for it.
 */
export interface Endpoint extends SecretHistory {
  id: Id<'whe'>
  url: string
  description: string | null
  eventTypes: readonly string[]
  headers: readonly CustomHeader[]
  signatureSchemes: readonly WebhookSignatureScheme[]
  /** What its events must say; empty lets all through. */
  filter: Filter
  /** The JSONata expression that makes of an event what is sent. */
  transformation: string | null
  /** Whether it ever had one. */
  hasTransformed: boolean
  payloadVersion: number
  channel: DeliveryChannel
  options: DeliveryOptions
  status: WebhookEndpointInfo['status']
  disabledReason: WebhookEndpointInfo['disabledReason']
  disabledAt: Date | null
  createdAt: Date
  updatedAt: Date
  revision: number
}

/** A tenant's endpoints are looked at for each of its events, so there are only so many. */
export const endpointsMax = 100

export function newEndpoint(id: Id<'whe'>, input: WebhookEndpointInput, now: Date): Endpoint {
  return {
    id,
    url: input.url,
    description: input.description ?? null,
    eventTypes: input.eventTypes ?? ['*'],
    headers: [],
    signatureSchemes: input.signatureSchemes ?? ['V1'],
    filter: input.filter ?? [],
    transformation: input.transformation ?? null,
    hasTransformed: input.transformation !== undefined,
    payloadVersion: input.payloadVersion ?? 1,
    channel: input.channel ?? 'HTTP',
    options: patchOptions(usualOptions, input),
    status: 'ENABLED',
    disabledReason: null,
    disabledAt: null,
    secretId: firstSecretId(id),
    secretCreatedAt: now,
    formerSecrets: [],
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

export function patchEndpoint(
  endpoint: Endpoint,
  patch: WebhookEndpointPatch,
  now: Date,
): Endpoint {
  const { url, description, eventTypes, signatureSchemes, filter, status, transformation } = patch
  const patched = {
    ...endpoint,
    url: url ?? endpoint.url,
    description: description === undefined ? endpoint.description : description,
    eventTypes: eventTypes ?? endpoint.eventTypes,
    signatureSchemes: signatureSchemes ?? endpoint.signatureSchemes,
    filter: filter ?? endpoint.filter,
    transformation: transformation === undefined ? endpoint.transformation : transformation,
    hasTransformed: endpoint.hasTransformed || typeof transformation === 'string',
    payloadVersion: patch.payloadVersion ?? endpoint.payloadVersion,
    channel: patch.channel ?? endpoint.channel,
    options: patchOptions(endpoint.options, patch),
    revision: endpoint.revision + 1,
    updatedAt: now,
  }
  if (status === undefined || status === endpoint.status) return patched
  return status === 'ENABLED'
    ? { ...patched, status, disabledReason: null, disabledAt: null }
    : { ...patched, status, disabledReason: 'REQUESTED', disabledAt: now }
}

/** The endpoint after it said 410: it does not want to hear from us again. */
export function endpointGone(endpoint: Endpoint, now: Date): Endpoint {
  return endpointDisabled(endpoint, 'GONE', now)
}

/** The endpoint after it failed for too long, and was warned of (`failing.ts`). */
export function endpointFailing(endpoint: Endpoint, now: Date): Endpoint {
  return endpointDisabled(endpoint, 'FAILING', now)
}

function endpointDisabled(
  endpoint: Endpoint,
  disabledReason: 'GONE' | 'FAILING',
  now: Date,
): Endpoint {
  return {
    ...endpoint,
    status: 'DISABLED',
    disabledReason,
    disabledAt: now,
    revision: endpoint.revision + 1,
    updatedAt: now,
  }
}

export function toEndpoint(endpoint: Endpoint): WebhookEndpointInfo {
  return {
    id: endpoint.id,
    url: endpoint.url,
    description: endpoint.description,
    eventTypes: [...endpoint.eventTypes],
    filter: [...endpoint.filter],
    transformation: endpoint.transformation,
    payloadVersion: endpoint.payloadVersion,
    channel: endpoint.channel,
    ...toOptions(endpoint.options),
    status: endpoint.status,
    disabledReason: endpoint.disabledReason,
    disabledAt: endpoint.disabledAt?.toISOString() ?? null,
    customHeaders: toCustomHeaders(endpoint.headers),
    signatureSchemes: [...endpoint.signatureSchemes],
    signingSecrets: toSigningSecrets(endpoint),
    createdAt: endpoint.createdAt.toISOString(),
    updatedAt: endpoint.updatedAt.toISOString(),
    revision: endpoint.revision,
  }
}
