import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { startWorker } from '#app.ts'
import type { openDatabases } from '#db/open.ts'
import { check, settled } from '../../scripts/chaos/checker/check.ts'
import { checkDeeds } from '../../scripts/chaos/checker/deeds.ts'
import type { Finding } from '../../scripts/chaos/checker/finding.ts'
import { type Crew, hireCrew } from '../../scripts/chaos/crew.ts'
import type { Habits } from '../../scripts/chaos/deed.ts'
import { chanceOf } from '../../scripts/chaos/random.ts'
import { type Program, startProgram } from '../../scripts/demo/program.ts'
import { until } from '../jobs/until.ts'
import { contextOf, startWorld, type World } from '../world.ts'

/** A world without a worker, its crew, and processes beside it that die or stop at fault points. */
export interface Scene {
  world: World
  crew: Crew
  /** Where the crew asks; the world's own API unless told otherwise. */
  asksAt(url: string): void
  /** A process that ends or stops at the nth passage of a point: `ubos.after-commit 3 SIGKILL`. */
  start(role: 'api' | 'worker', fault: string): Promise<Program>
  stop(): Promise<void>
}

/** Processes are started and killed here: on a busy machine that takes its time. */
export const patienceMs = 60_000

const preload = fileURLToPath(new URL('./fault.ts', import.meta.url))

export async function setScene(desks: number, habits: Habits): Promise<Scene> {
  const world = await startWorld({ parts: ['api'] })
  let url = world.url
  const crew = await hireCrew({
    ...{ urlFor: () => url, operatorKey: world.operator.key, chance: chanceOf(4) },
    ...{ tenants: 1, desks, habits },
  })
  return {
    ...{ world, crew },
    asksAt: (next) => {
      url = next
    },
    async start(role, fault) {
      const program = await startProgram({
        dataDir: tmpdir(),
        role,
        env: {
          NODE_OPTIONS: `--import=${preload}`,
          UBOS_TEST_FAULT: fault,
          UBOS_PROFILE: 'development',
          UBOS_LOG_LEVEL: 'silent',
          DATABASE_URL: world.ctx.db.url,
          UBOS_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
        },
      })
      const { child, end } = program
      onTestFinished(async () => {
        if (child.exitCode === null && child.signalCode === null) await end('SIGKILL')
      })
      return program
    },
    async stop() {
      await crew.stop()
      await world.stop()
    },
  }
}

/** Waits until the process was killed by its fault, and Postgres has seen the last of it. */
export async function killed({ world }: Scene, { child }: Program): Promise<void> {
  if (child.signalCode === null) await once(child, 'exit')
  expect(child.signalCode).toBe('SIGKILL')
  await until(async () => {
    const [row] = await world.query<{ busy: number }>(
      `select count(*)::int as busy from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`,
    )
    return row?.busy === 0
  }, patienceMs)
}

/** What the deeds so far have left; that some have no answer yet is as it should be. */
export async function deedsLeft({ world, crew }: Scene): Promise<Finding[]> {
  const findings: Finding[] = []
  await checkDeeds(world.query, crew.ledger, (kind, what, where) => {
    if (what !== 'never answered') findings.push({ kind, what, where })
  })
  return findings
}

/** Lets a worker do what is left, and expects all that was promised. */
export async function expectAllKept({ world, crew }: Scene): Promise<void> {
  const own = contextOf(world.ctx.config, world.ctx.clock, world.ctx.db.url)
  const worker = startWorker(own)
  try {
    expect(await settled(world.query, patienceMs)).toBe(true)
    expect(await check(world.query, crew.ledger)).toEqual([])
  } finally {
    await worker.stop(1_000)
    await own.egress.close()
    await (own.db as ReturnType<typeof openDatabases>).close()
  }
}
