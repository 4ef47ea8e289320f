import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { startWorker } from '#app.ts'
import type { TenantId } from '#ids.ts'
import { checkLog } from '../../scripts/chaos/checker/log.ts'
import { ask, errands, jobRow, tenantOf } from '../jobs/fixture.ts'
import { until } from '../jobs/until.ts'
import { startWorld, type World } from '../world.ts'
import { patienceMs } from './fixture.ts'

vi.setConfig({ testTimeout: 4 * patienceMs, hookTimeout: 2 * patienceMs })

let world: World
let tenant: TenantId
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  tenant = await tenantOf(world.api)
})
afterAll(() => world.stop())

/** A worker that is killed at a point; answers the errands whose task it had begun. */
async function killedWorker(fault: string): Promise<string[]> {
  const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))
  const child = spawn(
    process.execPath,
    [`--import=${path('./fault.ts')}`, path('../jobs/worker-process.ts'), world.ctx.db.url],
    {
      env: { ...process.env, UBOS_TEST_FAULT: `${fault} SIGKILL` },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  const begun: string[] = []
  createInterface(child.stdout).on('line', (line) => begun.push(line))
  await once(child, 'close')
  expect(child.signalCode).toBe('SIGKILL')
  return begun
}

/** At the point, whether the task of the job had done its work, which is then done again. */
const points = { 'ubos.job-started 3': false, 'ubos.job-effected 3': true } as const

test.each(Object.entries(points))(
  'of the jobs of a worker killed at %s none is lost, and none runs for ever',
  async (fault, isDone) => {
    const names = Array.from({ length: 8 }, (_, number) => `${fault} ${number}`)
    const ids = await ask(world, tenant, names)
    const begun = await killedWorker(fault)
    const done: string[] = []
    const errand = errands(async ({ payload }) => void done.push(payload.name) as undefined)
    const worker = startWorker(world.ctx, [errand])
    onTestFinished(() => worker.stop(1_000))
    await until(async () => {
      const rows = await Promise.all(ids.map((id) => jobRow(world, id)))
      return rows.every(({ status }) => status === 'SUCCEEDED')
    }, patienceMs)

    expect([...new Set([...begun, ...done])].toSorted()).toEqual(names.toSorted())
    // Each was done once, but for those that the dead worker had done and could not say so.
    expect(done.toSorted()).toEqual([...new Set(done)].toSorted())
    const again = done.filter((name) => begun.includes(name))
    if (isDone) expect(again).not.toEqual([])
    const attempts = await Promise.all(
      ids.map(async (id) => (await jobRow(world, id)).attempt_count),
    )
    expect(Math.max(...attempts)).toBe(2)
    const found: string[] = []
    const ledger = { tenantIds: [tenant], deeds: [], changes: [], endpoints: [] }
    await checkLog(world.query, ledger, (_kind, what) => found.push(what))
    expect(found.filter((what) => what.includes('job'))).toEqual([])
  },
)
