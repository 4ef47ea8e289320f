import { runRecorder } from '#api-metrics/recorder.ts'
import type { FinishedCall } from '#http/trail.ts'
import { aCall } from '../request-log/fixture.ts'
import type { World } from '../world.ts'

const none = { request: undefined, response: undefined }

/** Writes the figures of calls down as a process of its own would that had answered them. */
export async function recordCalls(world: World, calls: Partial<FinishedCall>[]): Promise<void> {
  const recorder = runRecorder(world.ctx)
  for (const call of calls) recorder.note(aCall(call), none)
  await recorder.stop(10_000)
}

/** By nearest rank. */
export function exactly(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] ?? Number.NaN
}
