import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { deedsLeft, expectAllKept, killed, patienceMs, type Scene, setScene } from './fixture.ts'

vi.setConfig({ testTimeout: 4 * patienceMs, hookTimeout: 2 * patienceMs })

let scene: Scene
beforeAll(async () => {
  scene = await setScene(1, { twice: 0, abandoned: 0, jobs: 0 })
})
afterAll(() => scene?.stop())

/** Where the process is killed, and whether what it was doing is there then. */
const points = {
  'ubos.before-transaction': 'absent',
  'ubos.after-claim': 'either',
  'ubos.before-commit': 'absent',
  'ubos.commit-sent': 'either',
  'ubos.after-commit': 'there',
} as const

test.each(Object.entries(points))(
  'an API killed at %s leaves its write %s, whole, and the same request again does it once',
  async (point, is) => {
    const { world, crew } = scene
    const api = await scene.start('api', `${point} 4 SIGKILL`)
    scene.asksAt(api.url)
    const before = crew.ledger.deeds.length
    const working = crew.work(12)
    await killed(scene, api)
    const deed = crew.ledger.deeds.at(-1)
    expect(deed?.state).toBe('ASKED')
    expect(await deedsLeft(scene)).toEqual([])
    const kept = await world.query('select from idempotency where key = $1', [deed?.key])
    if (is !== 'either') expect(kept).toHaveLength(is === 'there' ? 1 : 0)

    scene.asksAt(world.url)
    await working
    expect(crew.ledger.deeds).toHaveLength(before + 12)
    await expectAllKept(scene)
  },
)
