import type { InboundReprocessingInput } from '#generated/types.ts'
import { taskName } from '#jobs/task.ts'

/** Which receipts are passed on once more. */
export interface Selection {
  status: InboundReprocessingInput['status']
  sourceId: string | null
  /** Absent in jobs from before there was a choice. */
  eventType?: string | null
  receivedAfter: string | null
  receivedBefore: string
  /** What was passed on since then is left alone, so that a second run does nothing twice. */
  askedAt: string
}

/** Passes on once more what a selection names. */
export const reprocessing = taskName<Selection>('REPROCESS_RECEIPTS')

export function selectionOf(input: InboundReprocessingInput, now: Date): Selection {
  const { status, sourceId = null, eventType = null, receivedAfter = null } = input
  const askedAt = now.toISOString()
  return {
    status,
    sourceId,
    eventType,
    receivedAfter,
    receivedBefore: input.receivedBefore ?? askedAt,
    askedAt,
  }
}
