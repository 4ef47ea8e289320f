import type { Context } from '#context.ts'
import { findAllowedHosts } from '#egress/policy.sql.ts'
import { type JobRun, task } from '#jobs/task.ts'
import { confirmation } from './confirmation.ts'

const second = 1_000
const minute = 60 * second

export const confirmSource = task(confirmation, {
  timeoutMs: 30 * second,
  attemptsMax: 6,
  backoff: { firstMs: 2 * second, mostMs: 10 * minute },
  run: confirm,
})

/** The scheme has vetted the address; egress looks once more where it leads. */
async function confirm(
  { egress, db }: Context,
  { tenantId, payload: { url }, signal }: JobRun<{ sourceId: string; url: string }>,
): Promise<{ status: number }> {
  const allowedHosts = await findAllowedHosts(db.readers.of(tenantId), tenantId)
  const outcome = await egress.send({
    ...{ method: 'GET', url, allowedHosts, headers: {}, body: Buffer.alloc(0), signal },
    ...{ deadlineMs: 15 * second, connectMs: 5 * second, responseBytesMax: 16 * 1024 },
  })
  if (outcome.kind === 'failed') throw new Error(outcome.detail)
  if (outcome.status >= 300) throw new Error(`The sender answered ${outcome.status}.`)
  return { status: outcome.status }
}
