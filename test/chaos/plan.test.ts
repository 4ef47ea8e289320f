import { expect, test } from 'vitest'
import { planOf, type Size, wordsFor } from '../../scripts/chaos/plan.ts'
import { chanceOf } from '../../scripts/chaos/random.ts'

const size: Size = { writes: 1_000, kills: 20, restarts: 3, stopSeconds: [70, 20], storms: 8 }

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

test('chance for one purpose is not moved by what is thrown for another', () => {
  const [one, other] = [chanceOf(3), chanceOf(3)]
  one.next()
  expect(one.fork('crew').next()).toBe(other.fork('crew').next())
  expect(one.fork('crew').next()).not.toBe(other.fork('plan').next())
})
