import { expect, test } from 'vitest'
import { changesOf, nameOf } from '../../scripts/chaos/change.ts'
import { runChaos } from '../../scripts/chaos/run.ts'
import { sizes } from '../../scripts/chaos/sizes.ts'

test('under load, with processes, Postgres, connections and receivers dying and endpoints changing: nothing lost, nothing doubled', async () => {
  const outcome = await runChaos(4, sizes.short, () => undefined)
  expect(outcome.findings).toEqual([])
  expect(outcome.isSettled).toBe(true)
  expect(outcome.ownEnds).toEqual([])
  expect(outcome.deeds.acknowledged + outcome.deeds.abandoned).toBe(sizes.short.writes)
  // Endpoints were changed in each way meanwhile, and nothing was out of balance at any moment.
  const plan = changesOf(4, 1, { tenants: 4, endpoints: 2 })
  expect([...outcome.changes.keys()].sort()).toEqual([...new Set(plan.map(nameOf))].sort())
  expect(outcome.replayed.calledOff).toBeGreaterThan(0)
  expect(outcome.replayed.deliveries).toBeGreaterThan(0)
  expect(outcome.replayed.redeliveries).toBeGreaterThan(0)
  expect(outcome.balance).toMatchObject({ worst: 0, findings: [] })
  expect(outcome.balance.samples).toBeGreaterThan(1)
  // It did go wrong: somebody had no answer, and somebody heard twice.
  expect(outcome.recoveries.map(({ overMs }) => overMs)).not.toContain(undefined)
  expect(outcome.answers.get(0)).toBeGreaterThan(0)
}, 600_000)
