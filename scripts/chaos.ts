import { parseArgs } from 'node:util'
import type { Installation } from './chaos/installation.ts'
import { printRecovery } from './chaos/recovery/report.ts'
import { runRecovery } from './chaos/recovery.ts'
import { printOutcome } from './chaos/report.ts'
import { runChaos } from './chaos/run.ts'
import { sizes } from './chaos/sizes.ts'

/*
 * `npm run chaos [-- --seed 7] [-- --long | --short] [-- --writes 3000]`: an installation of its own
 * under load, while processes, Postgres, connections and receivers die, by a plan that the seed makes.
 * Ends with 1 when anything acknowledged was lost, or done more often than promised.
 * `npm run chaos -- --recovery [--events 2000]`: a receiver forgets 100,000 events, and is told again.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    writes: { type: 'string' },
    long: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    recovery: { type: 'boolean', default: false },
    events: { type: 'string', default: '100000' },
    verbose: { type: 'boolean', default: false },
  },
})
const size = sizes[values.long ? 'long' : values.short ? 'short' : 'usual']
const seed = Number(values.seed)
const writes = Number(values.writes ?? size.writes)
if (!Number.isInteger(seed) || !Number.isInteger(writes) || writes < 1) {
  console.error('chaos: --seed and --writes take whole numbers')
  process.exit(2)
}
const say = values.verbose ? console.log : () => undefined

/** Nothing is left running by one who loses patience. */
function stopWithUs(installation: Installation): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void installation.stop().finally(() => process.exit(130)))
  }
}

if (values.recovery) {
  const events = Number(values.events)
  if (!Number.isInteger(events) || events < 1) {
    console.error('chaos: --events takes a whole number')
    process.exit(2)
  }
  console.log(`recovery of ${events.toLocaleString('en')} events`)
  process.exit(printRecovery(await runRecovery(events, say, stopWithUs)) ? 0 : 1)
}
console.log(`chaos, seed ${seed}: ${writes.toLocaleString('en')} writes`)
const outcome = await runChaos(seed, { ...size, writes }, say, stopWithUs)
process.exit(printOutcome(outcome) ? 0 : 1)
