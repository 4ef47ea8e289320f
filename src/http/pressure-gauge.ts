import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge } from 'prom-client'
import type { Context } from '#context.ts'
import type { Route } from '#generated/routes.ts'
import type { Concurrency } from './concurrency.ts'
import { calm, type Figures, isShed, nextPressure } from './pressure.ts'
import { problem } from './problem.ts'

/** Keeps calls out while more is asked of the process than it can do. */
export interface Gate {
  /** Throws `overloaded` when calls of this kind are kept out now. */
  pass(kind: Route['kind']): void
  stop(): void
}

/** For servers that nobody floods. */
export const openGate: Gate = { pass: () => undefined, stop: () => undefined }

const lookEveryMs = 250
const resolutionMs = 10
const msOfNs = 1e-6

/** Those who come back are spread over so many seconds, so that they do not come back at once. */
const comeBackSecondsMax = 3

const shed = new Counter({
  name: 'ubos_shed_total',
  help: 'Calls that were refused because the process was overloaded, by class.',
  labelNames: ['class'],
})
const lagSeconds = new Gauge({
  name: 'ubos_event_loop_lag_seconds',
  help: 'By how much the event loop was late, as a mean over a quarter of a second.',
})

/** Measures the pressure four times a second. */
export function createGate({ db }: Pick<Context, 'db'>, concurrency: Concurrency): Gate {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  return gateBy(
    () => {
      // A mean: one long pause, such as a collection of garbage, does not make an overload.
      const lagMs = delay.count === 0 ? 0 : Math.max(delay.mean * msOfNs - resolutionMs, 0)
      delay.reset()
      lagSeconds.set(lagMs / 1_000)
      return {
        lagMs,
        inside: concurrency.total(),
        writesWaiting: db.turns.waiting(),
        readsWaiting: db.readers.waiting(),
      }
    },
    () => delay.disable(),
  )
}

/** A gate that goes by what `measure` says. */
export function gateBy(measure: () => Figures, end: () => void = () => undefined): Gate {
  let pressure = calm
  const looking = setInterval(() => {
    pressure = nextPressure(pressure, measure(), performance.now())
  }, lookEveryMs)
  return {
    pass(kind) {
      if (!isShed(pressure.level, kind)) return
      shed.inc({ class: kind })
      const seconds = Math.ceil(Math.random() * comeBackSecondsMax)
      throw problem('overloaded', {
        detail: `We are busy and took nothing on. Try again in ${seconds} s.`,
        headers: { 'retry-after': String(seconds) },
      })
    },
    stop() {
      clearInterval(looking)
      end()
    },
  }
}
