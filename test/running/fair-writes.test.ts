import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, startWorld, type World } from '../world.ts'
import { aCaller, aProcess, liftLimits } from './fixture.ts'

let world: World
let flood: Api
let quiet: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  ;[flood, quiet] = [await world.newTenant(), await world.newTenant()]
  await liftLimits(world)
})
afterAll(() => world.stop())

const median = (times: readonly number[]) =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0

test('a tenant that writes as fast as it can waits behind itself, and another hardly', async () => {
  const { url } = await aProcess(world, 'api')
  let isOver = false
  async function writeUntilOver(key: string, times: number[]): Promise<void> {
    const call = aCaller()
    while (!isOver) {
      const startMs = performance.now()
      const answer = await call(`${url}/api/v1/clients`, key, { name: 'Ada', currency: 'EUR' })
      if ('status' in answer && answer.status === 201) times.push(performance.now() - startMs)
    }
  }
  const times = { flood: [] as number[], quiet: [] as number[] }
  // Below the calls at once that a tenant has: what is above it is refused.
  const flooding = Array.from({ length: 40 }, () => writeUntilOver(flood.key, times.flood))
  const writing = writeUntilOver(quiet.key, times.quiet)
  while (times.quiet.length < 20) await new Promise((resolve) => setTimeout(resolve, 20))
  isOver = true
  await Promise.all([...flooding, writing])
  expect(median(times.quiet)).toBeLessThan(0.6 * median(times.flood))
}, 120_000)
