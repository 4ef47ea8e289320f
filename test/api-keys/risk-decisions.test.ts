import { expect, test } from 'vitest'
import type { ApiKey } from '#api-keys/api-key.ts'
import { riskOf } from '#api-keys/risk.ts'
import type { OperationCalls } from '#api-keys/usage.ts'

const now = new Date('2026-06-01T12:00:00Z')
const dayMs = 24 * 60 * 60 * 1_000
const ago = (days: number) => new Date(now.getTime() - days * dayMs)

/** A key that nothing can be said against. */
const good: ApiKey = {
  id: 'key_1',
  name: 'K',
  prefix: 'ubk_live_1',
  scopes: ['clients:read'],
  allowedIps: ['203.0.113.7'],
  serviceAccount: null,
  expiresAt: ago(-30),
  rotatedAt: null,
  previousExpiresAt: null,
  revokedAt: null,
  lastUse: { at: ago(0), ip: null, previousSecretAt: null },
  createdAt: ago(40),
  updatedAt: ago(40),
  revision: 1,
}

const called = (...operationIds: string[]): OperationCalls[] =>
  operationIds.map((operationId) => ({ operationId, calls: 1, lastUsedOn: '2026-05-31' }))

const account = { id: 'sva_1', name: 'S', status: 'ENABLED', scopes: null } as const

const fiveWrites: ApiKey['scopes'] = [
  'clients:write',
  'payments:write',
  'proposals:write',
  'webhook_deliveries:write',
  'webhook_endpoints:write',
]
const fiveCalls = [
  'createClient',
  'createPayment',
  'createProposal',
  'redeliverWebhookDelivery',
  'createWebhookEndpoint',
]

test.for<[string, Partial<ApiKey>, string[], Record<string, number>]>([
  ['a good key', {}, ['listClients'], {}],
  ['a key for everything', { scopes: ['*'] }, ['listClients'], { ALL_SCOPES: 35 }],
  [
    'a key for everything within an account for little',
    { scopes: ['*'], serviceAccount: { ...account, scopes: ['clients:read'] } },
    ['listClients'],
    {},
  ],
  ['five scopes to write', { scopes: fiveWrites }, fiveCalls, { MANY_WRITE_SCOPES: 15 }],
  ['four scopes to write', { scopes: fiveWrites.slice(1) }, fiveCalls, {}],
  ['a key that makes keys', { scopes: ['api_keys:write'] }, ['createApiKey'], { MANAGES_KEYS: 15 }],
  ['a secret of 89 days', { createdAt: ago(89) }, ['listClients'], {}],
  ['a secret of 90 days', { createdAt: ago(90) }, ['listClients'], { OLD_SECRET: 10 }],
  ['a secret of a year', { createdAt: ago(365) }, ['listClients'], { OLD_SECRET: 20 }],
  ['an old key, rotated', { createdAt: ago(999), rotatedAt: ago(1) }, ['listClients'], {}],
  ['a key that was never used', { lastUse: null }, [], { UNUSED: 15 }],
  ['a new key that was never used', { lastUse: null, createdAt: ago(29) }, [], {}],
  [
    'a key that was not used for 30 days',
    { lastUse: { at: ago(30), ip: null, previousSecretAt: null } },
    [],
    { UNUSED: 15 },
  ],
  [
    'a scope that nobody needed',
    { scopes: ['clients:read', 'payments:read'] },
    ['listClients'],
    { UNUSED_SCOPES: 10 },
  ],
  [
    'a scope that nobody needed yet, of a new key',
    { scopes: ['clients:read', 'payments:read'], createdAt: ago(29) },
    ['listClients'],
    {},
  ],
  [
    'everything beside all that was needed',
    { scopes: ['*', 'clients:read'] },
    ['listClients'],
    { ALL_SCOPES: 35, UNUSED_SCOPES: 10 },
  ],
  ['no end', { expiresAt: null }, ['listClients'], { NO_EXPIRY: 15 }],
  ['from anywhere', { allowedIps: [] }, ['listClients'], { NO_ALLOW_LIST: 15 }],
  ['revoked', { revokedAt: ago(1), scopes: ['*'], expiresAt: null }, [], {}],
  ['expired', { expiresAt: ago(1), scopes: ['*'], allowedIps: [] }, [], {}],
  [
    'resting with its account',
    { serviceAccount: { ...account, status: 'DISABLED' }, expiresAt: null },
    ['listClients'],
    { NO_EXPIRY: 15 },
  ],
])('%s weighs what the contract says', ([, more, calls, weights]) => {
  const { score, reasons } = riskOf({ ...good, ...more }, 'PRODUCTION', called(...calls), now)
  expect(Object.fromEntries(reasons.map(({ code, weight }) => [code, weight]))).toEqual(weights)
  expect(score).toBe(Object.values(weights).reduce((sum, weight) => sum + weight, 0))
})

test('the worst key weighs 100, half of it in the sandbox, and says the heaviest first', () => {
  const worst: ApiKey = {
    ...good,
    scopes: ['*'],
    allowedIps: [],
    expiresAt: null,
    createdAt: ago(400),
    lastUse: null,
  }
  const { score, reasons } = riskOf(worst, 'PRODUCTION', [], now)
  expect(score).toBe(100)
  expect(reasons.map(({ weight }) => weight)).toEqual([35, 20, 15, 15, 15])
  expect(riskOf(worst, 'SANDBOX', [], now).score).toBe(18 + 10 + 8 + 8 + 8)
})
