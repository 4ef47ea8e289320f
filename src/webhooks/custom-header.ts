import type { WebhookEndpointInfo, WebhookEndpointPatch } from '#generated/types.ts'
import type { TenantId } from '#ids.ts'

/** A header of the tenant's own. Any value may be a credential, so none is kept or shown in the open. */
export interface CustomHeader {
  /** In lower case. */
  readonly name: string
  /** The value, sealed for `headerPlace`, in base64. */
  readonly sealed: string
  readonly updatedAt: string
}

/** What opens and seals values in their place. */
export interface HeaderKeeper {
  seal(name: string, value: string): string
  open(header: CustomHeader): string
}

export const headersMax = 10

export function headerPlace(tenantId: TenantId, endpointId: string, name: string) {
  return { tenantId, table: 'webhook_endpoint', rowId: endpointId, column: `headers.${name}` }
}

/** Ours to write, or about the connection, its intermediaries, or how the body is to be read. */
const forbidden = new Set([
  ...['accept-encoding', 'age', 'cache-control', 'clear-site-data', 'connection', 'cookie'],
  ...['expect', 'expires', 'host', 'http2-settings', 'keep-alive', 'pragma'],
  ...['te', 'traceparent', 'tracestate', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['user-agent', 'via', 'warning', 'x-correlation-id'],
])

/** Families of the same kind, and those by which clouds tell their own requests. */
const forbiddenFamilies =
  /^(content-|cookie|proxy-|webhook-|svix-|x-(amz-|amzn-|google|goog-|gfe|azure-|fd-|svix-|ubos-))/

export function isForbidden(name: string): boolean {
  return forbidden.has(name.toLowerCase()) || forbiddenFamilies.test(name.toLowerCase())
}

interface Fault {
  pointer: string
  code: string
  message: string
}

type HeadersPatch = NonNullable<WebhookEndpointPatch['headers']>

/** What is wrong with the names of a patch. */
export function faultsOf(patch: HeadersPatch): Fault[] {
  const seen = new Set<string>()
  return Object.entries(patch).flatMap(([name, value]): Fault[] => {
    const pointer = `/headers/${name.replaceAll('~', '~0')}`
    const isAgain = seen.has(name.toLowerCase())
    seen.add(name.toLowerCase())
    if (isAgain) return [{ pointer, code: 'repeated', message: 'is there in another case already' }]
    if (value === null || !isForbidden(name)) return []
    return [{ pointer, code: 'forbidden', message: 'is a header that you may not set' }]
  })
}

/** The headers after a patch; a value that is as it was is not set anew. */
export function patchHeaders(
  headers: readonly CustomHeader[],
  patch: HeadersPatch | null,
  { seal, open }: HeaderKeeper,
  now: Date,
): CustomHeader[] {
  if (patch === null) return []
  const byName = new Map(headers.map((header) => [header.name, header]))
  for (const [givenName, value] of Object.entries(patch)) {
    const name = givenName.toLowerCase()
    const known = byName.get(name)
    if (value === null) byName.delete(name)
    else if (known === undefined || open(known) !== value) {
      byName.set(name, { name, sealed: seal(name, value), updatedAt: timeOfChange(known, now) })
    }
  }
  return [...byName.values()].sort((one, other) => (one.name < other.name ? -1 : 1))
}

/** Later than the change before, whatever clocks say: a new value is seen by its time alone. */
function timeOfChange(known: CustomHeader | undefined, now: Date): string {
  const earliest = known === undefined ? 0 : Date.parse(known.updatedAt) + 1
  return new Date(Math.max(now.getTime(), earliest)).toISOString()
}

export function toCustomHeaders(
  headers: readonly CustomHeader[],
): WebhookEndpointInfo['customHeaders'] {
  return headers.map(({ name, updatedAt }) => ({ name, updatedAt }))
}

/**
 * What is sent of them. Names are judged again: what may be sent is decided here and now, not on the
 * day on which somebody set it.
 */
export function headersToSend(
  headers: readonly CustomHeader[],
  open: HeaderKeeper['open'],
): Record<string, string> {
  const allowed = headers.filter(({ name }) => !isForbidden(name))
  return Object.fromEntries(allowed.map((header) => [header.name, open(header)]))
}
