import { expect, test } from 'vitest'
import { runChaos } from '../../scripts/chaos/run.ts'
import { sizes } from '../../scripts/chaos/sizes.ts'

test('under load, with processes, Postgres, connections and receivers dying: nothing lost, nothing doubled', async () => {
  const outcome = await runChaos(4, sizes.short, () => undefined)
  expect(outcome.findings).toEqual([])
  expect(outcome.isSettled).toBe(true)
  expect(outcome.ownEnds).toEqual([])
  expect(outcome.deeds.acknowledged + outcome.deeds.abandoned).toBe(sizes.short.writes)
  // It did go wrong: somebody had no answer, and somebody heard twice.
  expect(outcome.recoveries.map(({ overMs }) => overMs)).not.toContain(undefined)
  expect(outcome.answers.get(0)).toBeGreaterThan(0)
}, 600_000)
