import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../jobs/until.ts'
import { startWorld, type World } from '../world.ts'
import { aBalancer, aCaller, aProcess, liftLimits } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: [] })
  await liftLimits(world)
})
afterAll(() => world.stop())

test('a deploy that replaces one API after the other fails no call and loses no write', async () => {
  const twoProcesses = () =>
    Promise.all([1, 2].map(() => aProcess(world, 'api', { UBOS_DRAIN_SECONDS: '2' })))
  let programs = await twoProcesses()
  const balancer = aBalancer()
  for (const { url } of programs) await balancer.add(url)

  // What an attempt before this one made stays out of this one's way.
  const run = randomUUID().slice(0, 8)
  const failed: unknown[] = []
  const acknowledged: string[] = []
  let isOver = false
  const callers = Array.from({ length: 10 }, async (_, caller) => {
    const call = aCaller()
    for (let turn = 0; !isOver; turn += 1) {
      const name = `rolling-${run}-${caller}-${turn}`
      const isWrite = turn % 2 === 0
      const path = `${balancer.next()}/api/v1/clients`
      const answer = isWrite
        ? await call(path, world.api.key, { name, currency: 'EUR', externalId: name })
        : await call(`${path}?limit=1`, world.api.key)
      const expected = isWrite ? 201 : 200
      if (!('status' in answer) || answer.status !== expected) failed.push(answer)
      else if (isWrite) acknowledged.push(name)
    }
  })
  const ended: (number | null)[] = []
  for (let round = 0; round < 2; round += 1) {
    const fresh = await twoProcesses()
    for (const [at, old] of programs.entries()) {
      const before = acknowledged.length
      await until(() => acknowledged.length > before + 20)
      await old.end('SIGTERM')
      ended.push(old.child.exitCode)
      balancer.remove(old.url)
      await balancer.add(fresh[at]?.url ?? '')
    }
    programs = fresh
  }
  isOver = true
  await Promise.all(callers)

  expect(failed).toEqual([])
  expect(ended).toEqual([0, 0, 0, 0])
  const rows = await world.query<{ name: string }>(
    "select name from client where name like 'rolling-' || $1 || '-%'",
    [run],
  )
  expect(rows.map(({ name }) => name).sort()).toEqual(acknowledged.sort())
}, 120_000)
