import type {
  InboundScheme,
  InboundSourceInfo,
  InboundSourceInput,
  InboundSourcePatch,
  InboundSourceSettings,
} from '#generated/types.ts'
import { mergePatch } from '#http/merge-patch.ts'
import type { Id, TenantId } from '#ids.ts'
import type { Seal } from '#secrets/seal.ts'
import type { Flaw } from './scheme.ts'

/**
 * A *source* is somebody who sends webhooks to a tenant: an address of its own to send to, and how to
 * tell that it was really they. What it sends is verified over the raw bytes; what passes is a
 * *receipt*, once for each webhook, however often it is sent, and becomes an event of the tenant.
 */
export interface Source {
  id: Id<'src'>
  name: string
  scheme: InboundScheme
  settings: InboundSourceSettings
  /** A JSON list, sealed for its place. */
  secrets: Buffer
  secretCount: number
  secretsChangedAt: Date
  /** In canonical form; none is from anywhere. */
  allowedIps: readonly string[]
  maxBodyBytes: number
  /** How many verified webhooks are taken in a second; null is as many as come. */
  throttlePerSecond: number | null
  acceptsUndedupable: boolean
  status: InboundSourceInfo['status']
  createdAt: Date
  updatedAt: Date
  revision: number
}

/** People look through them. */
export const sourcesMax = 100

const usualBodyBytes = 1024 * 1024

/** Whose senders give some webhooks neither an id nor a signed moment: who chooses one takes such. */
const undedupableSchemes: ReadonlySet<InboundScheme> = new Set([
  'MICROSOFT_GRAPH',
  'QUICKBOOKS',
  'XERO',
])

/** Whose senders give what the settings say. */
const describedSchemes: ReadonlySet<InboundScheme> = new Set([
  'BASIC',
  'HMAC',
  'JWT',
  'SHARED_SECRET',
])

/** A source that could not tell a second copy of anything must ask for such. */
export function flawsOfDedupe(
  source: Pick<Source, 'scheme' | 'settings' | 'acceptsUndedupable'>,
): Flaw[] {
  const { scheme, settings, acceptsUndedupable } = source
  if (acceptsUndedupable || !describedSchemes.has(scheme)) return []
  const { eventIdHeader, eventIdPointer } = settings
  const isNamed = eventIdHeader !== undefined || eventIdPointer !== undefined
  if (isNamed || signsMoment(scheme, settings)) return []
  const message =
    'must be true unless settings say where the id of an event is (eventIdHeader, eventIdPointer), ' +
    'or sign a moment with the body ({timestamp} in signedContent, bodyDigestClaim), ' +
    'since a second copy could not be told from another event'
  return [{ pointer: '/acceptsUndedupable', message }]
}

function signsMoment(scheme: InboundScheme, settings: InboundSourceSettings): boolean {
  const { signedContent = '', bodyDigestClaim } = settings
  if (scheme === 'JWT') return bodyDigestClaim !== undefined
  return scheme === 'HMAC' && signedContent.includes('{timestamp}')
}

/** What is sealed as the secrets of a source. */
export interface Sealed {
  secrets: Buffer
  secretCount: number
}

export function newSource(
  id: Id<'src'>,
  input: InboundSourceInput,
  { secrets, secretCount }: Sealed,
  allowedIps: readonly string[],
  now: Date,
): Source {
  return {
    id,
    name: input.name,
    scheme: input.scheme,
    settings: input.settings ?? {},
    secrets,
    secretCount,
    secretsChangedAt: now,
    allowedIps,
    maxBodyBytes: input.maxBodyBytes ?? usualBodyBytes,
    throttlePerSecond: input.throttle?.perSecond ?? null,
    acceptsUndedupable: input.acceptsUndedupable ?? undedupableSchemes.has(input.scheme),
    status: 'ENABLED',
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

export function patchSource(
  source: Source,
  patch: InboundSourcePatch,
  sealed: Sealed | undefined,
  allowedIps: readonly string[] | undefined,
  now: Date,
): Source {
  return {
    ...source,
    name: patch.name ?? source.name,
    settings: patchedSettings(source, patch),
    ...(sealed && { ...sealed, secretsChangedAt: now }),
    allowedIps: allowedIps ?? source.allowedIps,
    maxBodyBytes: patch.maxBodyBytes ?? source.maxBodyBytes,
    throttlePerSecond: patchedThrottle(source, patch),
    acceptsUndedupable: patch.acceptsUndedupable ?? source.acceptsUndedupable,
    status: patch.status ?? source.status,
    updatedAt: now,
    revision: source.revision + 1,
  }
}

function patchedThrottle(
  { throttlePerSecond }: Pick<Source, 'throttlePerSecond'>,
  { throttle }: Pick<InboundSourcePatch, 'throttle'>,
): number | null {
  return throttle === undefined ? throttlePerSecond : (throttle?.perSecond ?? null)
}

export function patchedSettings(
  { settings }: Pick<Source, 'settings'>,
  patch: Pick<InboundSourcePatch, 'settings'>,
): InboundSourceSettings {
  return mergePatch(settings, patch.settings ?? {}) as InboundSourceSettings
}

/** Where a source's secrets are sealed: they open nowhere else. */
export function secretsPlace(tenantId: TenantId, sourceId: string) {
  return { tenantId, table: 'inbound_source', rowId: sourceId, column: 'secrets' }
}

/** The secrets of a source, opened: the current one first. */
export function secretsOf(
  { secrets }: { secrets: Pick<Seal, 'open'> },
  tenantId: TenantId,
  { id, secrets: sealed }: Pick<Source, 'id' | 'secrets'>,
): string[] {
  return JSON.parse(secrets.open(secretsPlace(tenantId, id), sealed).toString('utf8'))
}

/** The source as it is shown, with the address that is for its sender. */
export function toSource(source: Source, publicUrl: string): InboundSourceInfo {
  return {
    id: source.id,
    name: source.name,
    url: `${publicUrl}/hooks/${source.id}`,
    scheme: source.scheme,
    settings: source.settings,
    secretCount: source.secretCount,
    secretsChangedAt: source.secretsChangedAt.toISOString(),
    allowedIps: [...source.allowedIps],
    maxBodyBytes: source.maxBodyBytes,
    throttle: source.throttlePerSecond === null ? null : { perSecond: source.throttlePerSecond },
    acceptsUndedupable: source.acceptsUndedupable,
    status: source.status,
    createdAt: source.createdAt.toISOString(),
    updatedAt: source.updatedAt.toISOString(),
    revision: source.revision,
  }
}
