import type {
  AddressInfo,
  AddressInput,
  ClientInfo,
  ClientInput,
  ClientPatch,
} from '#generated/types.ts'
import { mergePatch } from '#http/merge-patch.ts'
import type { Id } from '#ids.ts'

/**
 * A *client* is a person or company that a tenant does business with. A deleted one is gone for
 * everybody at once; its row follows after 30 days.
 */
export type Client = Omit<ClientInfo, 'id' | 'createdAt' | 'updatedAt'> & {
  id: Id<'cli'>
  createdAt: Date
  updatedAt: Date
}

/** How many notes of its own a tenant can put on a client. */
export const metadataMax = 50

export function newClient(id: Id<'cli'>, input: ClientInput, now: Date): Client {
  return { id, ...fieldsOf(input), revision: 1, createdAt: now, updatedAt: now }
}

/** The client after a merge patch, its revision one up; what the patch left out stays. */
export function patchClient(client: Client, patch: ClientPatch, now: Date): Client {
  // Merging what the contract allows in both gives what it allows in an input.
  const input = mergePatch(withoutNulls(client), patch) as ClientInput
  return { ...client, ...fieldsOf(input), revision: client.revision + 1, updatedAt: now }
}

export function toClient(client: Client): ClientInfo {
  return {
    id: client.id,
    name: client.name,
    email: client.email,
    phone: client.phone,
    taxNumber: client.taxNumber,
    address: client.address,
    currency: client.currency,
    externalId: client.externalId,
    metadata: client.metadata,
    createdAt: client.createdAt.toISOString(),
    updatedAt: client.updatedAt.toISOString(),
    revision: client.revision,
  }
}

function fieldsOf(input: ClientInput) {
  return {
    name: input.name,
    email: input.email ?? null,
    phone: input.phone ?? null,
    taxNumber: input.taxNumber ?? null,
    address: input.address ? addressOf(input.address) : null,
    currency: input.currency,
    externalId: input.externalId ?? null,
    metadata: input.metadata ?? {},
  }
}

function addressOf(input: AddressInput): AddressInfo {
  return {
    line1: input.line1 ?? null,
    line2: input.line2 ?? null,
    city: input.city ?? null,
    region: input.region ?? null,
    postalCode: input.postalCode ?? null,
    country: input.country ?? null,
  }
}

function withoutNulls(client: Client): unknown {
  const address = client.address && dropNulls(client.address)
  return dropNulls({ ...client, address })
}

function dropNulls(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null))
}
