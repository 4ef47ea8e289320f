import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { settled } from '../../scripts/chaos/checker/check.ts'
import type { Program } from '../../scripts/demo/program.ts'
import { until } from '../jobs/until.ts'
import { expectAllKept, killed, patienceMs, type Scene, setScene } from './fixture.ts'

vi.setConfig({ testTimeout: 4 * patienceMs, hookTimeout: 2 * patienceMs })

let scene: Scene
beforeAll(async () => {
  scene = await setScene(4, { twice: 0.1, abandoned: 0, jobs: 0 })
})
afterAll(() => scene?.stop())

test('a worker killed before it has sent what it claimed: all of it is sent once, by another', async () => {
  const twice = heardTwice()
  const worker = await scene.start('worker', 'ubos.delivery-claimed 1 SIGKILL')
  await Promise.all([scene.crew.work(20), killed(scene, worker)])
  await expectAllKept(scene)
  expect(heardTwice()).toBe(twice)
  const interrupted = "select from attempt where outcome = 'INTERRUPTED'"
  expect(await scene.world.query(interrupted)).not.toHaveLength(0)
})

test('a worker killed before it has recorded what was answered: it is sent again, and that is all', async () => {
  const twice = heardTwice()
  const worker = await scene.start('worker', 'ubos.delivery-before-record 1 SIGKILL')
  await Promise.all([scene.crew.work(20), killed(scene, worker)])
  await expectAllKept(scene)
  expect(heardTwice()).toBeGreaterThan(twice)
})

/** All others: of two workers each dies at its own, and nobody is left. */
const pairs = [
  ['ubos.sequencer-before-commit', 'ubos.sequencer-after-commit'],
  ['ubos.chainer-before-commit', 'ubos.chainer-after-commit'],
  ['undici:request:bodySent', 'ubos.delivery-after-record'],
]

test.each(pairs)('workers killed at %s and %s lose nothing', async (...points) => {
  const workers: Program[] = []
  for (const point of points) workers.push(await scene.start('worker', `${point} 1 SIGKILL`))
  const isOver = () => workers.every(({ child }) => child.signalCode === 'SIGKILL')
  while (!isOver()) await scene.crew.work(4)
  await Promise.all(workers.map((worker) => killed(scene, worker)))
  await expectAllKept(scene)
})

test('a worker that was stopped beyond its leases writes nothing over what was done meanwhile', async () => {
  const { crew, world } = scene
  const twice = heardTwice()
  const worker = await scene.start('worker', 'ubos.delivery-before-record 1 SIGSTOP')
  await crew.work(12)
  await until(() => isStopped(worker), patienceMs)
  await world.query(
    'update delivery_due set leased_until = clock_timestamp() where lease_token is not null',
  )
  await expectAllKept(scene)
  expect(heardTwice()).toBeGreaterThan(twice)
  worker.child.kill('SIGCONT')
  // It records in order: once it has recorded anew, what it held before has been refused.
  await crew.work(12)
  expect(await settled(world.query, patienceMs)).toBe(true)
  await worker.end('SIGTERM')
  await expectAllKept(scene)
})

test('a sequencer that is stopped in its transaction keeps no event from its place for long', async () => {
  const { crew, world } = scene
  const worker = await scene.start('worker', 'ubos.sequencer-before-commit 1 SIGSTOP')
  await crew.work(12)
  await until(() => isStopped(worker), patienceMs)
  await expectAllKept(scene)
  worker.child.kill('SIGCONT')
  await crew.work(12)
  expect(await settled(world.query, patienceMs)).toBe(true)
  await worker.end('SIGTERM')
  await expectAllKept(scene)
})

/** Of how many events a receiver took more than one telling. */
function heardTwice(): number {
  const arrivals = scene.crew.ledger.endpoints.flatMap((endpoint) => [
    ...endpoint.arrivals.values(),
  ])
  return arrivals.filter(({ taken }) => taken > 1).length
}

function isStopped({ child }: Program): boolean {
  return spawnSync('ps', ['-o', 'state=', '-p', String(child.pid)])
    .stdout.toString()
    .includes('T')
}
