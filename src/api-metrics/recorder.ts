import { Counter } from 'prom-client'
import type { Context } from '#context.ts'
import type { Account } from '#http/trail.ts'
import { drainWithin } from '#jobs/drain.ts'
import { runLoop } from '#jobs/loop.ts'
import { putBeats, putMinutes } from './tally.sql.ts'
import { createTally, minuteOf } from './tally.ts'

/** Figures are so old at most; each time, what changed is written over. */
const writeEveryMs = 2_000

/** Cells of all minutes that wait: tenants × operations × keys that called in them. */
const cellsMax = 50_000
const cellsPerStatement = 1_000

const givenUp = new Counter({
  name: 'ubos_api_figures_given_up_total',
  help: 'Calls that are in no figure because the database took none for too long.',
})

/** Adds up the calls of this process by the minute, and shows that it lives. */
export function runRecorder({ db, clock, log }: Pick<Context, 'db' | 'clock' | 'log'>): Account {
  const processId = clock.randomBytes(8).toString('hex')
  const tally = createTally(cellsMax, (calls) => givenUp.inc(calls))

  async function writeBeats(nowMs: number): Promise<void> {
    const beats = tally.takeBeats(nowMs)
    if (beats.length === 0) return
    try {
      await putBeats(db.worker, processId, beats, minuteOf(nowMs))
      tally.confirm(beats, nowMs)
    } catch (error) {
      tally.putBack(beats)
      throw error
    }
  }

  async function writeCells(): Promise<void> {
    const cells = tally.takeCells()
    try {
      while (cells.length > 0) {
        await putMinutes(db.worker, processId, cells.slice(0, cellsPerStatement))
        cells.splice(0, cellsPerStatement)
      }
    } catch (error) {
      tally.putBack(cells)
      throw error
    }
  }

  async function write(): Promise<boolean> {
    const nowMs = clock.now().getTime()
    await writeBeats(nowMs)
    await writeCells()
    tally.forget(nowMs)
    return false
  }

  async function drain(): Promise<void> {
    await loop.stop()
    await write()
  }

  const loop = runLoop({ name: 'api-metrics', pass: write, idleMs: writeEveryMs, log })
  return { note: tally.add, stop: (drainMs) => drainWithin(drainMs, drain(), log) }
}
