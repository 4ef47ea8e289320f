import type { Context } from '#context.ts'
import { makePartitions } from '#db/partitions.sql.ts'
import { dropOldDays } from './days.sql.ts'
import { eraseBodies } from './figures.sql.ts'
import { eraseAnswers, eraseEvents, eraseMadeBodies } from './payloads.sql.ts'
import { pruneJobs, prunePositions } from './prune.sql.ts'
import { purgeDeleted } from './purge.sql.ts'
import { eraseReceipts, pruneDedupeKeys } from './receipts.sql.ts'
import { endLongWaits } from './waiting.sql.ts'

/** Keeps partitions made for a week ahead. */
export async function keepPartitionsAhead(ctx: Context): Promise<void> {
  const made = await makePartitions(ctx)
  if (made > 0) ctx.log.info({ made }, 'partitions made')
}

/** In this order: what waits no more is needed no more, and places go after their events. */
const steps = [
  endLongWaits,
  eraseEvents,
  eraseMadeBodies,
  eraseAnswers,
  eraseBodies,
  eraseReceipts,
  pruneDedupeKeys,
  purgeDeleted,
  pruneJobs,
  dropOldDays,
  prunePositions,
]

/** Erases, purges and drops all that is too old. One step that fails keeps no other from its turn. */
export async function sweepOldRows(ctx: Context): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps) await step(ctx).catch((error) => failures.push(error))
  if (failures.length > 0) throw new AggregateError(failures, 'not everything too old is gone')
}
