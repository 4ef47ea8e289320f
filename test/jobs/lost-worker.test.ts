import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorker } from '#app.ts'
import type { TenantId } from '#ids.ts'
import { databaseUrlOf } from '../db/fixture.ts'
import { startWorld, type World } from '../world.ts'
import { ask, errands, jobRow, tenantOf } from './fixture.ts'
import { until } from './until.ts'

let world: World
let tenant: TenantId
let child: ChildProcess | undefined
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  tenant = await tenantOf(world.api)
})
afterAll(async () => {
  child?.kill('SIGKILL')
  await world.stop()
})

/** A worker process, and the errands that it has begun. */
function startProcess(): string[] {
  const script = new URL('worker-process.ts', import.meta.url).pathname
  child = spawn(process.execPath, [script, databaseUrlOf(world)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const begun: string[] = []
  if (child.stdout) createInterface(child.stdout).on('line', (line) => begun.push(line))
  return begun
}

test('jobs of a worker that is killed run again within 20 s, those it had only been handed too', async () => {
  const begun = startProcess()
  const names = Array.from({ length: 30 }, (_, number) => `stuck ${number}`)
  const ids = await ask(world, tenant, names)
  await until(() => begun.length >= 10, 30_000)
  child?.kill('SIGKILL')
  const killedMs = performance.now()

  const done: string[] = []
  const errand = errands(async ({ payload }) => void done.push(payload.name) as undefined)
  const worker = startWorker(world.ctx, [errand])
  await until(async () => {
    const rows = await Promise.all(ids.map((id) => jobRow(world, id)))
    return rows.every(({ status }) => status === 'SUCCEEDED')
  }, 40_000)
  const tookMs = performance.now() - killedMs
  await worker.stop(1_000)

  expect(done.toSorted()).toEqual(names.toSorted())
  expect(tookMs).toBeLessThan(20_000)
  const attempts = await Promise.all(ids.map(async (id) => (await jobRow(world, id)).attempt_count))
  // One for the run that died, where there was one, and one for the run that ended.
  expect(attempts.toSorted()).toEqual(
    names.map((name) => (begun.includes(name) ? 2 : 1)).toSorted(),
  )
}, 90_000)
