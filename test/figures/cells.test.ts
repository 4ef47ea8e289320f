import { expect, test } from 'vitest'
import { createCells } from '#figures/cells.ts'
import { hourMs } from '#figures/span.ts'
import { tenantId } from '#ids.ts'

const at = Date.UTC(2026, 1, 4, 10, 7)

test('what is written twice is written once, what could not be written is kept, and memory is bounded', () => {
  let givenUp = 0
  const cells = createCells(
    4,
    () => ({ seen: 0 }),
    () => {
      givenUp += 1
    },
  )
  const count = (subjectId: string, ms = at) =>
    cells.count({ tenantId: tenantId(`ten_${'0'.repeat(26)}`), subjectId }, new Date(ms), (own) => {
      own.seen += 1
    })
  const written = () => cells.take().map(({ figures }) => figures.seen)
  count('whe_1')
  count('whe_1')
  const taken = cells.take()
  expect(taken.map(({ figures }) => figures.seen)).toEqual([2, 2])
  expect(written()).toEqual([])
  cells.putBack(taken)
  count('whe_1')
  expect(written()).toEqual([3, 3])
  for (const id of ['whe_2', 'whe_3']) count(id)
  expect(givenUp).toBe(1)
  cells.take()
  cells.forget(at + 3 * hourMs)
  count('whe_3', at + 3 * hourMs)
  expect(givenUp).toBe(1)
})
