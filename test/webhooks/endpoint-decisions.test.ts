import { expect, test } from 'vitest'
import { selects } from '#events/selector.ts'
import {
  type Endpoint,
  endpointGone,
  newEndpoint,
  patchEndpoint,
  toEndpoint,
} from '#webhooks/endpoint.ts'

const made = new Date('2026-02-04T10:00:00.000Z')
const later = new Date('2026-02-05T10:00:00.000Z')
const endpoint = newEndpoint('whe_1', { url: 'https://a.example/' }, made)

test.each([
  [['*'], 'client.created', true],
  [['client.created'], 'client.created', true],
  [['client.updated', 'client.created'], 'client.created', true],
  [['client.updated'], 'client.created', false],
  [['payment.received', '*'], 'client.created', true],
  [['client'], 'client.created', false],
  [['client.created'], 'client.created.v2', false],
  [[], 'client.created', false],
])('an endpoint for %j is told of %s: %s', (eventTypes, type, isTold) => {
  expect(selects(eventTypes, type)).toBe(isTold)
})

test('a new endpoint is enabled and is told of everything unless it says otherwise', () => {
  expect(endpoint).toMatchObject({ status: 'ENABLED', eventTypes: ['*'], revision: 1 })
  const chosen = newEndpoint(
    'whe_1',
    { url: 'https://a.example/', eventTypes: ['client.created'] },
    made,
  )
  expect(chosen.eventTypes).toEqual(['client.created'])
})

test('a patch changes what it names and nothing else', () => {
  const patched = patchEndpoint(endpoint, { description: 'Orders' }, later)
  expect(patched).toEqual({ ...endpoint, description: 'Orders', revision: 2, updatedAt: later })
  const cleared = patchEndpoint(patched, { description: null }, later)
  expect(cleared.description).toBeNull()
  expect(patchEndpoint(patched, {}, later).description).toBe('Orders')
})

test('whoever disables an endpoint is remembered, and enabling it forgets the reason', () => {
  const paused = patchEndpoint(endpoint, { status: 'DISABLED' }, later)
  expect(paused).toMatchObject({ disabledReason: 'REQUESTED', disabledAt: later })
  const gone = endpointGone(endpoint, later)
  expect(gone).toMatchObject({ status: 'DISABLED', disabledReason: 'GONE', disabledAt: later })
  expect(gone.revision).toBe(2)
  const again = patchEndpoint(gone, { status: 'ENABLED' }, later)
  expect(again).toMatchObject({ status: 'ENABLED', disabledReason: null, disabledAt: null })
})

test('disabling a disabled endpoint leaves the reason that it was disabled for', () => {
  const gone = endpointGone(endpoint, made)
  const patched = patchEndpoint(gone, { status: 'DISABLED' }, later)
  expect(patched).toMatchObject({ disabledReason: 'GONE', disabledAt: made })
})

test('an endpoint is shown without what else its row may hold', () => {
  const row = { ...endpoint, secret: 'whsec_x' } as Endpoint
  expect(JSON.stringify(toEndpoint(row))).not.toContain('whsec_x')
})
