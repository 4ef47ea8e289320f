import { type Client, newClient, toClient } from '../../../src/clients/client.ts'
import type { Id } from '../../../src/ids.ts'

/** About 0.75 KB, as customers send it; `{n}` is a number that makes each one another. */
export const clientInput = {
  name: 'Ada Lovelace Analytical Engines Ltd',
  email: 'accounts@lovelace.example.com',
  phone: '+44 20 7946 0958',
  taxNumber: 'GB123456789',
  address: {
    line1: '12 St James’s Square',
    line2: 'Second floor',
    city: 'London',
    region: 'Greater London',
    postalCode: 'SW1Y 4JH',
    country: 'GB',
  },
  currency: 'GBP',
  externalId: 'crm-{n}',
  metadata: {
    segment: 'enterprise',
    source: 'partner-portal',
    accountManager: 'Mary Somerville, mary.somerville@example.com',
    paymentTerms: '30 days net, 2 % discount within 10 days',
    notes: 'Prefers to be called in the morning; invoices go to the accounts department only.',
    tags: 'engineering;analytics;long-term;net30',
    region: 'EMEA',
    crmUrl: 'https://crm.example.com/accounts/0012400000AbCdE',
  },
}

/** A client with all its fields: about 0.9 KB as JSON. */
export function sampleClient(at = 1): Client {
  const id: Id<'cli'> = `cli_${String(at).padStart(26, '0')}`
  const input = { ...clientInput, externalId: `crm-${at}` }
  return newClient(id, input, new Date('2026-01-02T03:04:05.678Z'))
}

/** A page of these: about 25 KB at fifty. */
export function samplePage(count: number): Client[] {
  const { accountManager, notes, ...metadata } = clientInput.metadata
  return Array.from({ length: count }, (_, at) => ({
    ...sampleClient(at),
    metadata: { segment: metadata.segment, source: metadata.source },
  }))
}

/** What a GET of it answers. */
export function getSample() {
  return toClient(sampleClient())
}
