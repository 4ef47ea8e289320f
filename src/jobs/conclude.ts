import type { Context } from '#context.ts'
import { type Ending, type Started, settleJobs } from './run.sql.ts'

/** Writes a final state that somebody is told of; answers whether the lease was still ours. */
export async function conclude(
  { db, clock }: Context,
  { tenantId, jobId, token }: Started,
  ending: Ending,
): Promise<boolean> {
  const [isOurs] = await settleJobs(
    db.worker,
    [{ tenantId, jobId, token, isStarted: true, ending }],
    clock.now(),
  )
  return isOurs === true
}
