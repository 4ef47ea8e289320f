import { readFileSync } from 'node:fs'
import { type Route, routes } from '#generated/routes.ts'

interface Described {
  paths: Record<string, Record<string, { requestBody?: { content: Record<string, Media> } }>>
}
interface Media {
  examples?: Record<string, { value: Record<string, unknown> }>
}

const file = new URL('../../../generated/openapi.json', import.meta.url)
const contract = JSON.parse(readFileSync(file, 'utf8')) as Described

/** Every operation that takes a key: what is added to the contract is attacked from then on. */
export const keyed: readonly Route[] = Object.values(routes).filter(({ scopes }) => scopes !== null)

/** A body that fits an operation, as the contract shows it, and the type that it is sent as. */
export function exampleOf({ path, method }: Route) {
  const content = contract.paths[path]?.[method.toLowerCase()]?.requestBody?.content
  const [type, media] = Object.entries(content ?? {})[0] ?? []
  const body = Object.values(media?.examples ?? {})[0]?.value
  return type === undefined || body === undefined ? undefined : { type, body }
}

/** The path of an operation with something in place of each id. */
export function pathOf({ path }: Route, step: string): string {
  return path.replaceAll(/\{\w+\}/g, step)
}

/** The path of an operation with well-formed ids that nobody has. */
export function emptyPathOf({ path }: Route): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => nobodys[name] ?? nobodysId('xxx'))
}

export const nobodysId = (prefix: string): string => `${prefix}_${'0'.repeat(26)}`

const nobodys: Record<string, string> = {
  organizationId: nobodysId('org'),
  tenantId: nobodysId('ten'),
  apiKeyId: nobodysId('key'),
  serviceAccountId: nobodysId('sva'),
  clientId: nobodysId('cli'),
  proposalId: nobodysId('pro'),
  invoiceId: nobodysId('inv'),
  paymentId: nobodysId('pay'),
  refundId: nobodysId('ref'),
  webhookEndpointId: nobodysId('whe'),
  webhookDeliveryId: nobodysId('whd'),
  eventId: nobodysId('evt'),
  eventType: 'client.imagined',
  auditEntryId: nobodysId('aud'),
  requestId: nobodysId('req'),
}
