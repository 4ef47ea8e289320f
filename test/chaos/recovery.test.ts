import { expect, test } from 'vitest'
import { runRecovery } from '../../scripts/chaos/recovery.ts'

test('a receiver that forgot 1,000 events is told of exactly these again, through kills of all workers and of Postgres', async () => {
  const recovered = await runRecovery(1_000, () => undefined)
  expect(recovered.findings).toEqual([])
  expect(recovered.isSettled).toBe(true)
  // It did go wrong while it went on, and what happened meanwhile was told.
  const [workers = 0, postgres = 0] = recovered.killedAt
  expect(workers).toBeGreaterThan(0)
  expect(postgres).toBeGreaterThan(workers)
  expect(postgres).toBeLessThan(1_000)
  expect(recovered.doubled).toBeLessThanOrEqual(recovered.inDoubt)
  expect(recovered.waits.beside.length).toBeGreaterThan(0)
  expect(recovered.waits.beside.every(Number.isFinite)).toBe(true)
  expect(recovered.balance.samples).toBeGreaterThan(1)
}, 600_000)
