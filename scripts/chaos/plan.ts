import { type Chance, chanceOf } from './random.ts'
import { spread } from './spread.ts'

/** One thing that goes wrong, once this share of all writes has been done. */
export type Injection = { at: number } & Trouble

export type Trouble =
  | { kind: 'kill'; role: 'api' | 'worker'; slot: number }
  /** SIGKILL of the postmaster: what had not been written down is gone, and connections end. */
  | { kind: 'postgres' }
  /** SIGSTOP of a worker, and SIGCONT after so long. */
  | { kind: 'stop'; slot: number; seconds: number }
  /** Connections to Postgres that are slow, that stand still, or that end; or both of the last. */
  | { kind: 'slow'; delayMs: number; seconds: number }
  | { kind: 'stall'; seconds: number; isCutAfter: boolean }
  | { kind: 'cut'; share: number }

export interface Size {
  writes: number
  kills: number
  restarts: number
  /** How long each stopped worker is stopped. */
  stopSeconds: readonly number[]
  /** How often connections to Postgres are in trouble. */
  storms: number
  /** How often endpoints are changed in each way meanwhile. */
  changes: number
}

/** Of each role so many processes run. */
export const slots = { api: 2, worker: 2 } as const

/** What goes wrong, and when: of the seed and the size, and of nothing else. */
export function planOf(seed: number, size: Size): Injection[] {
  const chance = chanceOf(seed).fork('plan')
  const stops = spread(chance, size.stopSeconds.length, 0.05, 0.5).map(
    (at, index): Injection => ({
      ...{ at, kind: 'stop', slot: index % slots.worker },
      seconds: size.stopSeconds[index] ?? 0,
    }),
  )
  return [
    ...stops,
    ...spread(chance, size.restarts, 0.1, 0.95).map((at): Injection => ({ at, kind: 'postgres' })),
    ...spread(chance, size.kills, 0.02, 0.98).map((at): Injection => ({ at, ...killOf(chance) })),
    ...spread(chance, size.storms, 0.03, 0.97).map((at): Injection => ({ at, ...stormOf(chance) })),
  ].sort((one, other) => one.at - other.at)
}

function killOf(chance: Chance): Trouble {
  const role = chance.is(0.5) ? 'api' : 'worker'
  return { kind: 'kill', role, slot: chance.below(slots[role]) }
}

function stormOf(chance: Chance): Trouble {
  const seconds = 2 + chance.below(5)
  switch (chance.below(3)) {
    case 0:
      return { kind: 'slow', delayMs: 20 + chance.below(180), seconds }
    case 1:
      return { kind: 'stall', seconds, isCutAfter: chance.is(0.5) }
    default:
      return { kind: 'cut', share: chance.is(0.5) ? 1 : 0.5 }
  }
}

export function wordsFor(trouble: Trouble): string {
  switch (trouble.kind) {
    case 'kill':
      return `kill -9 of ${trouble.role} ${trouble.slot}`
    case 'postgres':
      return 'kill -9 of Postgres'
    case 'stop':
      return `worker ${trouble.slot} stopped for ${trouble.seconds} s`
    case 'slow':
      return `connections slow by ${trouble.delayMs} ms for ${trouble.seconds} s`
    case 'stall':
      return `connections stalled for ${trouble.seconds} s${trouble.isCutAfter ? ', then cut' : ''}`
    case 'cut':
      return trouble.share === 1 ? 'all connections cut' : 'every other connection cut'
    default:
      return trouble satisfies never
  }
}
