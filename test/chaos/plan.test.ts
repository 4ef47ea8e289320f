import { expect, test } from 'vitest'
import { changesOf, nameOf } from '../../scripts/chaos/change.ts'
import { planOf, type Size, wordsFor } from '../../scripts/chaos/plan.ts'
import { chanceOf } from '../../scripts/chaos/random.ts'

const size: Size = {
  ...{ writes: 1_000, kills: 20, restarts: 3, stopSeconds: [70, 20], storms: 8 },
  changes: 0,
}

test('the same seed makes the same trouble again, and another seed other trouble', () => {
  expect(planOf(7, size)).toEqual(planOf(7, size))
  expect(planOf(7, size)).not.toEqual(planOf(8, size))
})

test('a plan holds all that it was asked for, in order, while there is still something to disturb', () => {
  const plan = planOf(7, size)
  const count = (kind: string) => plan.filter((each) => each.kind === kind).length
  expect([count('kill'), count('postgres'), count('stop')]).toEqual([20, 3, 2])
  expect(count('slow') + count('stall') + count('cut')).toBe(8)
  expect(plan.map(({ at }) => at)).toEqual(plan.map(({ at }) => at).toSorted((a, b) => a - b))
  expect(plan.every(({ at }) => at > 0 && at < 1)).toBe(true)
  expect(plan.map(wordsFor)).toContain('worker 0 stopped for 70 s')
})

test('endpoints are changed in each way as often as asked for, and the same seed changes the same', () => {
  const places = { tenants: 4, endpoints: 2 }
  const changes = changesOf(7, 3, places)
  expect(changes).toEqual(changesOf(7, 3, places))
  expect(changes).not.toEqual(changesOf(8, 3, places))
  const counts = Map.groupBy(changes, nameOf)
  expect(Object.fromEntries([...counts].map(([name, all]) => [name, all.length]))).toEqual({
    ...{
      disabled: 3,
      filtered: 3,
      rated: 3,
      ordered: 3,
      rotated: 9,
      revoked: 3,
      moved: 3,
      joined: 3,
      redelivered: 3,
    },
    ...{ replayed: 6, 'replayed in part': 6 },
  })
  expect(changes.every(({ tenant, endpoint }) => tenant < 4 && endpoint < 2)).toBe(true)
})

test('chance for one purpose is not moved by what is thrown for another', () => {
  const [one, other] = [chanceOf(3), chanceOf(3)]
  one.next()
  expect(one.fork('crew').next()).toBe(other.fork('crew').next())
  expect(one.fork('crew').next()).not.toBe(other.fork('plan').next())
})
