import type { Context } from '#context.ts'
import { type Loop, runLoop } from './loop.ts'

/** Work that recurs for the whole installation; doing it twice does no harm. */
export interface Recurring {
  name: string
  everyMs: number
  run: (ctx: Context) => Promise<void>
}

/** Runs each entry at once and then at its interval. */
export function runTimetable(ctx: Context, entries: readonly Recurring[]): Pick<Loop, 'stop'> {
  const loops = entries.map(({ name, everyMs, run }) =>
    runLoop({
      name,
      idleMs: everyMs,
      log: ctx.log,
      pass: async () => {
        await run(ctx)
        return false
      },
    }),
  )
  return {
    async stop() {
      await Promise.all(loops.map((loop) => loop.stop()))
    },
  }
}
