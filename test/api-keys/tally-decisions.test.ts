import { expect, test } from 'vitest'
import { createTally, dateOfDay, type Use } from '#api-keys/tally.ts'
import { tenantId } from '#ids.ts'

const tenant = tenantId(`ten_${'1'.repeat(26)}`)
const at = (time: string) => new Date(`2026-02-0${time}Z`)

function use(more: Partial<Use> = {}): Use {
  return {
    tenantId: tenant,
    keyId: 'key_1',
    operationId: 'listClients',
    now: at('4T10:00:00'),
    ip: '203.0.113.7',
    isPreviousSecret: false,
    ...more,
  }
}

const refused = {
  tenantId: tenant,
  keyId: 'key_1',
  kind: 'KEY_REFUSED_REVOKED' as const,
  now: at('4T10:00:00'),
  ip: '198.51.100.1',
}

test('calls are added up by key, day and operation, and the last one is remembered', () => {
  const tally = createTally()
  tally.use(use())
  tally.use(use({ now: at('4T10:00:02'), ip: '203.0.113.8' }))
  tally.use(use({ now: at('4T10:00:01'), operationId: 'getClient' }))
  tally.use(use({ now: at('5T00:00:00') }))
  tally.use(use({ keyId: 'key_2' }))
  const taken = tally.takeUses().map(({ keyId, day, calls, lastAt, lastIp }) => {
    return [keyId, dateOfDay(day), Object.fromEntries(calls), lastAt, lastIp]
  })
  expect(taken).toEqual([
    ['key_1', '2026-02-04', { listClients: 2, getClient: 1 }, at('4T10:00:02'), '203.0.113.8'],
    ['key_1', '2026-02-05', { listClients: 1 }, at('5T00:00:00'), '203.0.113.7'],
    ['key_2', '2026-02-04', { listClients: 1 }, at('4T10:00:00'), '203.0.113.7'],
  ])
  expect(tally.takeUses(), 'nothing is counted twice').toEqual([])
})

test('what could not be written is counted with what came meanwhile', () => {
  const tally = createTally()
  tally.use(use({ isPreviousSecret: true }))
  tally.use(use())
  const taken = tally.takeUses()
  tally.use(use({ now: at('4T10:00:05'), ip: '203.0.113.9' }))
  tally.returnUses(taken)
  const [back] = tally.takeUses()
  expect(back?.calls.get('listClients')).toBe(3)
  expect(back).toMatchObject({
    lastAt: at('4T10:00:05'),
    lastIp: '203.0.113.9',
    previousSecretAt: at('4T10:00:00'),
  })

  tally.refuse(refused)
  const waiting = tally.takeRefusals()
  tally.refuse({ ...refused, now: at('4T10:30:00'), ip: '198.51.100.2' })
  tally.returnRefusals(waiting)
  expect(tally.takeRefusals()).toMatchObject([{ count: 2, firstAt: at('4T10:00:00') }])
})

test('refusals are added up by key, kind and hour', () => {
  const tally = createTally()
  tally.refuse(refused)
  tally.refuse({ ...refused, now: at('4T10:59:59'), ip: '198.51.100.2' })
  tally.refuse({ ...refused, now: at('4T11:00:00') })
  tally.refuse({ ...refused, kind: 'KEY_REFUSED_IP' })
  tally.refuse({ ...refused, keyId: 'key_2' })
  expect(
    tally.takeRefusals().map(({ keyId, kind, count, ip }) => [keyId, kind, count, ip]),
  ).toEqual([
    ['key_1', 'KEY_REFUSED_REVOKED', 2, '198.51.100.2'],
    ['key_1', 'KEY_REFUSED_REVOKED', 1, '198.51.100.1'],
    ['key_1', 'KEY_REFUSED_IP', 1, '198.51.100.1'],
    ['key_2', 'KEY_REFUSED_REVOKED', 1, '198.51.100.1'],
  ])
})

test('however long the database is away, the memory has an end, and known keys are counted on', () => {
  const tally = createTally(10)
  for (let n = 0; n < 100; n += 1) {
    tally.use(use({ keyId: `key_${n}` }))
    tally.refuse({ ...refused, keyId: `key_${n}` })
  }
  tally.use(use({ keyId: 'key_0' }))
  const uses = tally.takeUses()
  expect(uses.flatMap(({ calls }) => [...calls])).toHaveLength(5)
  expect(uses[0]?.calls.get('listClients')).toBe(2)
  expect(tally.takeRefusals()).toHaveLength(10)
  expect(tally.takeDropped()).toBe(95 + 90)
  expect(tally.takeDropped()).toBe(0)
  tally.use(use({ keyId: 'key_new' }))
  expect(tally.takeUses(), 'there is room again').toHaveLength(1)
})
