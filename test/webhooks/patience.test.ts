import { expect, test } from 'vitest'
import { tenantId } from '#ids.ts'
import { createPatience } from '#webhooks/patience.ts'

const tenant = tenantId('ten_00000000000000000000000001')
const one = { tenantId: tenant, endpointId: 'whe_1' }
const other = { tenantId: tenant, endpointId: 'whe_2' }

test('an endpoint that never answers is soon tried one delivery at a time', () => {
  const patience = createPatience()
  for (let count = 0; count < 4; count += 1) patience.note(one, 'TIMED_OUT')
  expect(patience.slow()).toEqual([])
  patience.note(one, 'TIMED_OUT')
  expect(patience.slow()).toEqual([{ ...one, inFlightMax: 1 }])
})

test('an endpoint that answers anything at all is treated like everybody again', () => {
  for (const answer of ['DELIVERED', 'REFUSED', 'THROTTLED', 'CONNECTION_FAILED'] as const) {
    const patience = createPatience()
    for (let count = 0; count < 9; count += 1) patience.note(one, 'TIMED_OUT')
    patience.note(one, answer)
    expect(patience.slow()).toEqual([])
    for (let count = 0; count < 4; count += 1) patience.note(one, 'TIMED_OUT')
    expect(patience.slow(), 'the count begins anew').toEqual([])
  }
})

test('what one endpoint does not answer is not held against another', () => {
  const patience = createPatience()
  for (let count = 0; count < 9; count += 1) patience.note(one, 'TIMED_OUT')
  patience.note(other, 'TIMED_OUT')
  expect(patience.slow().map(({ endpointId }) => endpointId)).toEqual(['whe_1'])
})

test('however many endpoints hang, what is known of them stays bounded', () => {
  const patience = createPatience()
  for (let endpoint = 0; endpoint < 3_000; endpoint += 1) {
    const endpointId = `whe_${endpoint}`
    for (let count = 0; count < 5; count += 1) {
      patience.note({ tenantId: tenant, endpointId }, 'TIMED_OUT')
    }
  }
  expect(patience.slow()).toHaveLength(1_000)
})
